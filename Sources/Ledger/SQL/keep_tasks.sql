-- Notes that tasks are done that must not be done again.
UPDATE outbox SET due_at = NULL, done_at = now() WHERE id = ANY ($1::bigint[]) AND due_at IS NOT NULL
