-- Waits for whoever inserts rows now, and keeps others from it until this database transaction ends.
SELECT pg_advisory_xact_lock(70811042, 0)
