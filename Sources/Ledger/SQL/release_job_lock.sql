-- Gives a job's lock back.
SELECT pg_advisory_unlock(70811041, hashtext($1))
