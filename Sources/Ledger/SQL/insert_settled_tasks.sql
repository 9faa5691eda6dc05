-- Writes the tasks of rows that this very database transaction has ended, each once a kind and key. A row that another has ended, or
-- an earlier try of this batch, brings none. In the order of their keys, so that two batches with the same ones wait in one direction.
INSERT INTO outbox (kind, task_key, tenant_id, trace_id, payload)
SELECT ($3::text[])[n], ($4::text[])[n], t.tenant_id, t.trace_id, ($5::text[])[n]
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS t(tenant_id, trace_id, n)
  JOIN billing_transactions b
    ON b.tenant_id = t.tenant_id AND b.trace_id = t.trace_id AND b.xmin = pg_current_xact_id()::xid
 ORDER BY 1, 2
ON CONFLICT DO NOTHING
