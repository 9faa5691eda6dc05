-- One migration at a time; released when the database transaction ends.
SELECT pg_advisory_xact_lock(7081104101)
