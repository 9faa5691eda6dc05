-- Rows of a tenant that could be behind a difference ($2, at least zero) between the ledger and its image: whose hold, charge, or hold
-- less charge is as large, the newest first.
SELECT trace_id, status, hold, charge, epoch, rseq
  FROM billing_transactions
 WHERE tenant_id = $1 AND $2::bigint IN (hold, charge, hold - charge)
 ORDER BY trace_id DESC
 LIMIT 20
