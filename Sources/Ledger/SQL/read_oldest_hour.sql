-- The first hour that has been rolled up: Unix seconds.
SELECT extract(epoch FROM hour)::bigint FROM usage_hourly ORDER BY hour LIMIT 1
