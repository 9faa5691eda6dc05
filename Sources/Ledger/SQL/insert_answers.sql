-- Keeps what requests with an idempotency key were answered. Comes behind settle.sql: only a charge makes an answer final.
INSERT INTO idempotent_answers (tenant_id, trace_id, status, content_type, body)
SELECT i.tenant_id, i.trace_id, ($3::bigint[])[n], ($4::text[])[n], ($5::bytea[])[n]
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS i(tenant_id, trace_id, n)
  JOIN billing_transactions b ON b.tenant_id = i.tenant_id AND b.trace_id = i.trace_id AND b.status = 'committed'
ON CONFLICT DO NOTHING
