-- The number of a Redis life; the same life has the same number until the mode of the installation changes. None while reservations
-- are made in the ledger.
INSERT INTO redis_incarnations (run_id, replication_id, mode_change)
SELECT $1, $2, change FROM quota_mode WHERE mode = 'redis'
ON CONFLICT (run_id, replication_id, mode_change) DO UPDATE SET seen_at = now()
RETURNING incarnation, mode_change
