-- How the outbox stands: tasks to be done, those of them that are due now (of one tenant, or all), the age of the oldest in seconds,
-- and tasks that were given up.
SELECT count(*) FILTER (WHERE due_at IS NOT NULL),
       count(*) FILTER (WHERE due_at <= now() AND ($1::text IS NULL OR tenant_id = $1)),
       coalesce(floor(extract(epoch FROM now() - min(created_at) FILTER (WHERE due_at IS NOT NULL))), 0)::bigint,
       count(*) FILTER (WHERE dead_at IS NOT NULL)
  FROM outbox
 WHERE due_at IS NOT NULL OR dead_at IS NOT NULL
