-- Makes tasks that were given up due once more: of one tenant, or all.
UPDATE outbox SET due_at = now(), dead_at = NULL, attempts = 0
 WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR tenant_id = $1)
