-- Puts tasks back that could not be done: due again after so many seconds, or given up where that is null. Only who claimed a task
-- last puts it back.
UPDATE outbox o
   SET attempts = ($5::bigint[])[n], last_error = coalesce(($4::text[])[n], o.last_error),
       due_at = now() + ($3::bigint[])[n] * interval '1 second',
       dead_at = CASE WHEN ($3::bigint[])[n] IS NULL THEN now() END
  FROM unnest($1::bigint[]) WITH ORDINALITY AS s(id, n)
 WHERE o.id = s.id AND o.attempts = ($2::bigint[])[n] AND o.due_at IS NOT NULL
