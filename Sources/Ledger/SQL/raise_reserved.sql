-- Raises what a pending row holds, in the database transaction that has locked the epoch, made it the ledger's own and then summed up.
UPDATE billing_transactions SET hold = greatest(hold, $3)
 WHERE tenant_id = $1 AND trace_id = $2 AND status = 'pending'
