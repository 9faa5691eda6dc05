-- What stands under some traces.
SELECT b.tenant_id, b.trace_id, b.status, b.epoch, b.rseq, b.hold, b.charge, b.owner
  FROM unnest($1::text[], $2::uuid[]) AS i(tenant_id, trace_id)
  JOIN billing_transactions b ON b.tenant_id = i.tenant_id AND b.trace_id = i.trace_id
