-- One API key with its tenant.
SELECT k.tenant_id, k.secret_hash, k.label, array_to_string(k.allowed_models, chr(10)), extract(epoch FROM k.expires_at)::bigint,
       k.revoked_at IS NOT NULL, t.status = 'suspended', t.time_zone, t.limits_version, t.credit_limit, t.daily_quota,
       t.monthly_quota, t.requests_per_minute, t.tokens_per_minute, t.concurrency, k.budget_limit, k.budget_period
  FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
 WHERE k.id = $1
