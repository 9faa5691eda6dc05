-- Changes an API key's budget and raises the version of its tenant's limits. What is null stays as it is; a limit of -1 takes it away.
-- A budget without a period is for ever.
WITH changed AS (
    UPDATE api_keys
       SET budget_limit = nullif(coalesce($2, budget_limit), -1),
           budget_period = coalesce($3, budget_period, 'total')
     WHERE id = $1
    RETURNING tenant_id, budget_limit, budget_period
)
UPDATE tenants
   SET limits_version = limits_version + 1
  FROM changed
 WHERE id = tenant_id
RETURNING tenant_id, budget_limit, budget_period
