-- Tenants after one ($1) with budgets of API keys: those that have been looked at since their budgets were, or all ($2).
SELECT DISTINCT k.tenant_id
  FROM api_keys k
  LEFT JOIN tenant_quotas t ON t.tenant_id = k.tenant_id
  LEFT JOIN api_key_quotas q ON q.tenant_id = k.tenant_id AND q.api_key_id = k.id
 WHERE k.tenant_id > $1 AND k.budget_limit IS NOT NULL
   AND ($2::boolean OR t.synced_at > q.synced_at OR (t.synced_at IS NOT NULL AND q.synced_at IS NULL))
 ORDER BY k.tenant_id
 LIMIT $3
