-- A new API key; nothing is returned when the tenant is unknown. A budget ($6, $7) raises the version of the tenant's limits.
WITH raised AS (
    UPDATE tenants SET limits_version = limits_version + 1 WHERE id = $2 AND $6::bigint IS NOT NULL
)
INSERT INTO api_keys (id, tenant_id, label, secret_hash, allowed_models, budget_limit, budget_period)
SELECT $1, t.id, $3, $4, $5::text[], $6, CASE WHEN $6::bigint IS NOT NULL THEN $7 END FROM tenants t WHERE t.id = $2
RETURNING id
