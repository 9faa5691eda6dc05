-- What Redis showed of many API keys' budgets: for people and audits. An older snapshot never replaces a newer one.
INSERT INTO api_key_quotas AS q (tenant_id, api_key_id, budget_limit, budget_used, period, synced_at)
SELECT *, $6::timestamptz
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
ON CONFLICT (tenant_id, api_key_id) DO UPDATE
   SET budget_limit = excluded.budget_limit, budget_used = excluded.budget_used, period = excluded.period,
       synced_at = excluded.synced_at
 WHERE q.synced_at <= excluded.synced_at
