-- The oldest row of the ledger.
SELECT trace_id FROM billing_transactions ORDER BY trace_id LIMIT 1
