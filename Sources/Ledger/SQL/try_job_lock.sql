-- Takes a job's lock for this connection, if nobody has it.
SELECT pg_try_advisory_lock(70811041, hashtext($1))
