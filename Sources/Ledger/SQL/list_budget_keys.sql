-- The API keys of some tenants ($1) that have a budget.
SELECT tenant_id, id FROM api_keys WHERE tenant_id = ANY ($1::text[]) AND budget_limit IS NOT NULL
