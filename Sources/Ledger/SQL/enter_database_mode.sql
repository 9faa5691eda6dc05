-- From now on reservations are made in the ledger; once, whoever asks: $1 is the change that the caller knows.
UPDATE quota_mode
   SET mode = 'database', change = change + 1, since = clock_timestamp(), by_owner = $2, redis_lost_at = clock_timestamp()
 WHERE mode = 'redis' AND change = $1
