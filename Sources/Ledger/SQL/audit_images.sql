-- What the ledger says of the holds that images of tenants have seen: invariant I2, for many tenants at once.
--
-- $1 tenants, with the image's $2 epoch, $3 number of its last hold, $4 last credit, $5 day and $6 month · $7 the tenant of each hold
-- in an image, its $8 trace, $9 epoch and $10 number · $11, $12 the image's day and month again, for each hold.
-- A row belongs to what an image has seen when its hold was taken in an earlier epoch, or in this one under a number that the image
-- has reached; its charge counts unless the image holds it still. Rolled-up rows have ended before the images were read, if the
-- watermark, which is returned with each tenant, has not moved since.
WITH image AS MATERIALIZED (
    SELECT *
      FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS i(tenant_id, epoch, last_rseq, last_credit, day, month)
), mark AS MATERIALIZED (
    SELECT trace_id FROM job_watermarks WHERE job = 'rollup'
), held AS MATERIALIZED (
    SELECT h.tenant_id, sum(b.charge) AS charged, count(*) FILTER (WHERE b.status = 'pending') AS pending,
           count(*) FILTER (WHERE b.status <> 'voided' AND b.day = h.image_day) AS daily_used,
           count(*) FILTER (WHERE b.status <> 'voided' AND b.month = h.image_month) AS monthly_used
      FROM unnest($7::text[], $8::uuid[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
        AS h(tenant_id, trace_id, epoch, rseq, image_day, image_month)
     CROSS JOIN LATERAL (
        SELECT b.charge, b.status, b.day, b.month
          FROM billing_transactions b
         WHERE b.tenant_id = h.tenant_id AND b.trace_id = h.trace_id AND b.epoch = h.epoch AND b.rseq = h.rseq
        OFFSET 0) b
     GROUP BY h.tenant_id
)
SELECT i.tenant_id, (SELECT trace_id FROM mark), e.epoch, c.credited,
       r.charged + t.charged - coalesce(h.charged, 0),
       r.daily_used + t.daily_used - coalesce(h.daily_used, 0),
       r.monthly_used + t.monthly_used - coalesce(h.monthly_used, 0),
       t.pending - coalesce(h.pending, 0)
  FROM image i
  JOIN tenant_epoch e ON e.tenant_id = i.tenant_id
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0) AS credited
      FROM credits
     WHERE tenant_id = i.tenant_id AND seq <= i.last_credit) c
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(charged), 0) AS charged,
           coalesce(sum(committed) FILTER (WHERE day = i.day), 0) AS daily_used,
           coalesce(sum(committed) FILTER (WHERE day / 100 = i.month), 0) AS monthly_used
      FROM ledger_rollups
     WHERE tenant_id = i.tenant_id) r
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(charge), 0) AS charged, count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status <> 'voided' AND day = i.day) AS daily_used,
           count(*) FILTER (WHERE status <> 'voided' AND month = i.month) AS monthly_used
      FROM billing_transactions
     WHERE tenant_id = i.tenant_id AND trace_id >= (SELECT trace_id FROM mark)
       AND (epoch < i.epoch OR (epoch = i.epoch AND rseq <= i.last_rseq))) t
  LEFT JOIN held h ON h.tenant_id = i.tenant_id
