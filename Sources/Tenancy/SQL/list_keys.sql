-- API keys of one tenant ($1) or of all (null), by tenant and age, after a key ($2, null for the first), a page of them.
SELECT k.id, k.tenant_id, k.label, array_to_string(k.allowed_models, chr(10)),
       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END,
       to_char(k.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       to_char(k.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       to_char(k.revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), k.budget_limit, k.budget_period
  FROM api_keys k
 WHERE ($1::text IS NULL OR k.tenant_id = $1)
   AND ($2::text IS NULL OR (k.tenant_id, k.created_at, k.id)
        > (SELECT a.tenant_id, a.created_at, a.id FROM api_keys a WHERE a.id = $2))
 ORDER BY k.tenant_id, k.created_at, k.id
 LIMIT $3
