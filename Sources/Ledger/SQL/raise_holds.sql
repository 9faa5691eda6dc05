-- Raises what pending rows hold, under the fence of insert_pending.sql: only while the epoch of the image that took the money is
-- the tenant's current one. An image made after that has been made of the row as it was, and knows nothing of the money.
-- Amounts are absolute, so repeating it changes nothing.
WITH fence AS (
    SELECT tenant_id, epoch
      FROM tenant_epoch
     WHERE tenant_id = ANY ($1::text[])
     ORDER BY tenant_id
       FOR SHARE
)
UPDATE billing_transactions b
   SET hold = greatest(b.hold, ($4::bigint[])[n])
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS s(tenant_id, trace_id, n)
  JOIN fence f ON f.tenant_id = s.tenant_id AND f.epoch = ($3::bigint[])[n]
 WHERE b.tenant_id = s.tenant_id AND b.trace_id = s.trace_id AND b.status = 'pending'
