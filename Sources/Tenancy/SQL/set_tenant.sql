-- Changes a tenant's limits and raises their version. What is null stays as it is; -1 takes a limit away.
UPDATE tenants
   SET time_zone = coalesce($2, time_zone), credit_limit = coalesce($3, credit_limit),
       daily_quota = nullif(coalesce($4, daily_quota), -1), monthly_quota = nullif(coalesce($5, monthly_quota), -1),
       requests_per_minute = nullif(coalesce($6, requests_per_minute), -1),
       tokens_per_minute = nullif(coalesce($7, tokens_per_minute), -1),
       concurrency = nullif(coalesce($8, concurrency), -1), limits_version = limits_version + 1
 WHERE id = $1
RETURNING limits_version
