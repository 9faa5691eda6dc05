-- The pending rows of a tenant, the oldest first.
SELECT trace_id, status, hold, charge, epoch, rseq
  FROM billing_transactions
 WHERE tenant_id = $1 AND status = 'pending' AND trace_id >= (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')
 ORDER BY trace_id
 LIMIT 10000
