-- Writes tasks that no row of a request brings, each once a kind and key.
INSERT INTO outbox (kind, task_key, tenant_id, payload)
SELECT ($1::text[])[n], t.task_key, ($3::text[])[n], ($4::text[])[n]
  FROM unnest($2::text[]) WITH ORDINALITY AS t(task_key, n)
 ORDER BY 1, 2
ON CONFLICT DO NOTHING
