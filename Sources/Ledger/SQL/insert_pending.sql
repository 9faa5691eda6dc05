-- The fence: accepts a pending row only when its hold was taken in the tenant's current epoch.
--
-- The epoch rows are share-locked in the order of their tenants until this database transaction ends, so a rebuild that raises an
-- epoch waits for rows already accepted and then counts them.
WITH input AS (
    SELECT *
      FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::boolean[])
        AS i(tenant_id, trace_id, api_key_id, epoch, rseq, day, hold, limits_version, balance_before, balance_after,
             deadline_ms, capability, model, is_stream)
), fence AS (
    SELECT tenant_id, epoch
      FROM tenant_epoch
     WHERE tenant_id = ANY ($1::text[])
     ORDER BY tenant_id
       FOR SHARE
)
INSERT INTO billing_transactions (
    tenant_id, trace_id, api_key_id, epoch, rseq, day, month, hold, limits_version, balance_before, balance_after,
    owner, deadline, capability, model, is_stream)
SELECT i.tenant_id, i.trace_id, i.api_key_id, i.epoch, i.rseq, i.day, i.day / 100, i.hold, i.limits_version,
       i.balance_before, i.balance_after, $15, clock_timestamp() + i.deadline_ms * interval '1 millisecond',
       i.capability, i.model, i.is_stream
  FROM input i JOIN fence f ON f.tenant_id = i.tenant_id AND f.epoch = i.epoch
ON CONFLICT DO NOTHING
