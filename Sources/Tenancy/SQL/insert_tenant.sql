-- A new tenant; nothing is returned when the name is taken.
WITH made AS (
    INSERT INTO tenants (id, time_zone, credit_limit, daily_quota, monthly_quota, requests_per_minute, tokens_per_minute,
                         concurrency)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO tenant_epoch (tenant_id, epoch) SELECT id, 0 FROM made RETURNING tenant_id
