-- A new API key; nothing is returned when the tenant is unknown.
INSERT INTO api_keys (id, tenant_id, label, secret_hash, allowed_models)
SELECT $1, t.id, $3, $4, $5::text[] FROM tenants t WHERE t.id = $2
RETURNING id
