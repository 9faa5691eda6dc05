-- Claims tasks that are due for so many seconds ($2), the oldest first: of one tenant ($3), or all. What its claimer does not end by
-- then is due again.
WITH due AS (
    SELECT id FROM outbox
     WHERE due_at <= now() AND ($3::text IS NULL OR tenant_id = $3)
     ORDER BY due_at, id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
)
UPDATE outbox o
   SET attempts = o.attempts + 1, due_at = now() + $2::integer * interval '1 second'
  FROM due
 WHERE o.id = due.id
RETURNING o.id, o.kind, o.task_key, o.tenant_id, o.payload, o.attempts, (SELECT time_zone FROM tenants t WHERE t.id = o.tenant_id),
          floor(extract(epoch FROM o.created_at))::bigint
