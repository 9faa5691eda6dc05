-- The number of a Redis life; the same life always has the same number.
INSERT INTO redis_incarnations (run_id, replication_id) VALUES ($1, $2)
ON CONFLICT (run_id, replication_id) DO UPDATE SET seen_at = now()
RETURNING incarnation
