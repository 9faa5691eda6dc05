-- Tenants by name, after a name ($1), a page of them.
SELECT id, status = 'suspended', time_zone, limits_version, credit_limit, daily_quota, monthly_quota,
       to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), requests_per_minute, tokens_per_minute,
       concurrency
  FROM tenants WHERE id > $1 ORDER BY id LIMIT $2
