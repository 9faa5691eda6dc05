-- From now on reservations are made in Redis; once, and only when no process has found Redis lost for $3 milliseconds.
UPDATE quota_mode
   SET mode = 'redis', change = change + 1, since = clock_timestamp(), by_owner = $2
 WHERE mode = 'database' AND change = $1
   AND redis_lost_at <= clock_timestamp() - $3::bigint * interval '1 millisecond'
