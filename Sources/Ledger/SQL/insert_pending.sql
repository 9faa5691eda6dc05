-- The fence: accepts a pending row only when its hold was taken in the tenant's current epoch.
--
-- The epoch rows are share-locked in the order of their tenants until this database transaction ends, so a rebuild that raises an
-- epoch waits for rows already accepted and then counts them. Only the names are unnested: each set of rows costs more than all the
-- numbers that are looked up by their place.
WITH fence AS (
    SELECT tenant_id, epoch
      FROM tenant_epoch
     WHERE tenant_id = ANY ($1::text[])
     ORDER BY tenant_id
       FOR SHARE
)
INSERT INTO billing_transactions (
    tenant_id, trace_id, api_key_id, epoch, rseq, day, month, hold, limits_version, balance_before, balance_after,
    owner, deadline, capability, model, is_stream)
SELECT i.tenant_id, i.trace_id, ($3::text[])[n], f.epoch, ($5::bigint[])[n], ($6::bigint[])[n], ($6::bigint[])[n] / 100,
       ($7::bigint[])[n], ($8::bigint[])[n], ($9::bigint[])[n], ($10::bigint[])[n], $15,
       clock_timestamp() + ($11::bigint[])[n] * interval '1 millisecond', ($12::text[])[n], ($13::text[])[n],
       ($14::boolean[])[n]
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS i(tenant_id, trace_id, n)
  JOIN fence f ON f.tenant_id = i.tenant_id AND f.epoch = ($4::bigint[])[n]
ON CONFLICT DO NOTHING
