-- Settled streams need no checkpoint any more.
DELETE FROM stream_checkpoints c
 USING unnest($1::text[], $2::uuid[]) AS s(tenant_id, trace_id)
 WHERE c.tenant_id = s.tenant_id AND c.trace_id = s.trace_id
