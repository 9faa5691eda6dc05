-- Limits of a minute and of requests at the same time, and budgets of API keys. NULL means no limit.

ALTER TABLE tenants
    ADD COLUMN requests_per_minute bigint CHECK (requests_per_minute BETWEEN 1 AND 1000000000000),
    ADD COLUMN tokens_per_minute   bigint CHECK (tokens_per_minute BETWEEN 1 AND 1000000000000),
    ADD COLUMN concurrency         bigint CHECK (concurrency BETWEEN 1 AND 1000000000000);
GRANT UPDATE (requests_per_minute, tokens_per_minute, concurrency) ON tenants TO tollgate_app;

-- A key that had a budget keeps the period: what is in Redis for it stands as long as the tenant's image.
ALTER TABLE api_keys
    ADD COLUMN budget_limit  bigint CHECK (budget_limit BETWEEN 1 AND 9000000000000000),
    ADD COLUMN budget_period text CHECK (budget_period IN ('total', 'day', 'month')),
    ADD CONSTRAINT budget_has_period CHECK (budget_limit IS NULL OR budget_period IS NOT NULL);
GRANT UPDATE (budget_limit, budget_period) ON api_keys TO tollgate_app;
