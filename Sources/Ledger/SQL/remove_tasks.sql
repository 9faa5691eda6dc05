-- Removes tasks that are done.
DELETE FROM outbox WHERE id = ANY ($1::bigint[])
