-- Inserts the pending rows of reservations made in the ledger, in the database transaction that has locked the epochs, made them the
-- ledger's own and then summed up.
INSERT INTO billing_transactions (
    tenant_id, trace_id, api_key_id, epoch, rseq, day, month, hold, limits_version, balance_before, balance_after,
    owner, deadline, capability, model, is_stream, tokens)
SELECT i.tenant_id, i.trace_id, ($3::text[])[n], ($4::bigint[])[n], ($5::bigint[])[n], ($6::bigint[])[n],
       ($6::bigint[])[n] / 100, ($7::bigint[])[n], ($8::bigint[])[n], ($9::bigint[])[n], ($10::bigint[])[n], $15,
       clock_timestamp() + ($11::bigint[])[n] * interval '1 millisecond', ($12::text[])[n], ($13::text[])[n],
       ($14::boolean[])[n], ($16::bigint[])[n]
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS i(tenant_id, trace_id, n)
ON CONFLICT DO NOTHING
