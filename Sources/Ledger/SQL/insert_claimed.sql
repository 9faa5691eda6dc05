-- The fence of insert_pending.sql for requests with an idempotency key: a row is accepted only together with its claim.
--
-- The unique key decides whose the claim is. It can be taken over when it has expired or its request was voided; what this
-- statement does not see of that request is taken for the worse. Of several under one key in a batch the first claims it. Keys are
-- claimed in one order, so that two batches wait for each other in one direction only.
WITH fence AS (
    SELECT tenant_id, epoch
      FROM tenant_epoch
     WHERE tenant_id = ANY ($1::text[])
     ORDER BY tenant_id
       FOR SHARE
), accepted AS (
    SELECT i.tenant_id, i.trace_id, n, f.epoch
      FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS i(tenant_id, trace_id, n)
      JOIN fence f ON f.tenant_id = i.tenant_id AND f.epoch = ($4::bigint[])[n]
), claimed AS (
    INSERT INTO idempotency_keys AS k (tenant_id, api_key_id, key, trace_id, body_hash)
    SELECT DISTINCT ON (tenant_id, ($3::text[])[n], ($16::text[])[n])
           tenant_id, ($3::text[])[n], ($16::text[])[n], trace_id, ($17::bytea[])[n]
      FROM accepted
     ORDER BY tenant_id, ($3::text[])[n], ($16::text[])[n], n
    ON CONFLICT (tenant_id, api_key_id, key) DO UPDATE
       SET trace_id = excluded.trace_id, body_hash = excluded.body_hash, created_at = excluded.created_at,
           expires_at = excluded.expires_at
     WHERE k.expires_at <= clock_timestamp()
        OR EXISTS (SELECT FROM billing_transactions b
                    WHERE b.tenant_id = k.tenant_id AND b.trace_id = k.trace_id AND b.status = 'voided')
    RETURNING tenant_id, trace_id
)
INSERT INTO billing_transactions (
    tenant_id, trace_id, api_key_id, epoch, rseq, day, month, hold, limits_version, balance_before, balance_after,
    owner, deadline, capability, model, is_stream, tokens)
SELECT a.tenant_id, a.trace_id, ($3::text[])[n], a.epoch, ($5::bigint[])[n], ($6::bigint[])[n], ($6::bigint[])[n] / 100,
       ($7::bigint[])[n], ($8::bigint[])[n], ($9::bigint[])[n], ($10::bigint[])[n], $15,
       clock_timestamp() + ($11::bigint[])[n] * interval '1 millisecond', ($12::text[])[n], ($13::text[])[n],
       ($14::boolean[])[n], ($18::bigint[])[n]
  FROM accepted a
  JOIN claimed c ON c.tenant_id = a.tenant_id AND c.trace_id = a.trace_id
ON CONFLICT DO NOTHING
