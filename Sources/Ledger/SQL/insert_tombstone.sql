-- A voided row under a trace that has a hold and no row: after it, the trace can never become pending, and the hold may go.
INSERT INTO billing_transactions (
    tenant_id, trace_id, api_key_id, epoch, rseq, day, month, hold, limits_version, balance_before, balance_after,
    owner, deadline, capability, model, is_stream, status, is_error, error_code, settled_at)
VALUES ($1, $2, $3, $4, $5, $6, $6 / 100, $7, 0, 0, 0, 'sweep', clock_timestamp(), '', '', false, 'voided', true,
        'ORPHANED_HOLD', clock_timestamp())
ON CONFLICT DO NOTHING
