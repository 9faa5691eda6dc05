-- Removes a task that is done, by its kind and key.
DELETE FROM outbox WHERE kind = $1 AND task_key = $2
