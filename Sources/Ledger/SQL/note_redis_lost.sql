-- Some process still cannot use Redis.
UPDATE quota_mode SET redis_lost_at = clock_timestamp() WHERE mode = 'database' AND change = $1
