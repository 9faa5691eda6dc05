-- Adds a credit under the next number of its tenant, and with it the task of telling its image. Nothing is returned when the tenant
-- is unknown, or when its balance could then pass the largest one that can be stored ($5). Charges are only summed up when credits
-- alone would pass it.
WITH credited AS (
    SELECT coalesce(sum(amount), 0) + $2::bigint AS total FROM credits WHERE tenant_id = $1
), numbered AS (
    UPDATE tenants SET credit_seq = credit_seq + 1
      FROM credited
     WHERE id = $1
       AND (total <= $5::bigint
            OR total - (SELECT coalesce(sum(charge), 0) FROM billing_transactions
                         WHERE tenant_id = $1 AND status = 'committed') <= $5::bigint)
    RETURNING id, credit_seq
), added AS (
    INSERT INTO credits (tenant_id, seq, amount, kind, external_id)
    SELECT id, credit_seq, $2, $3, $4 FROM numbered
    RETURNING tenant_id, seq
), told AS (
    INSERT INTO outbox (kind, task_key, tenant_id, payload)
    SELECT 'credit', tenant_id || ':' || seq, tenant_id, seq::text FROM added
    ON CONFLICT DO NOTHING
)
SELECT seq FROM added
