-- API keys after one ($1), whose tenant has been looked at since they were, or every key ($2).
SELECT k.id, k.tenant_id
  FROM api_keys k
  LEFT JOIN tenant_quotas t ON t.tenant_id = k.tenant_id
  LEFT JOIN api_key_quotas q ON q.tenant_id = k.tenant_id AND q.api_key_id = k.id
 WHERE k.id > $1 AND ($2::boolean OR t.synced_at > q.synced_at OR (t.synced_at IS NOT NULL AND q.synced_at IS NULL))
 ORDER BY k.id
 LIMIT $3
