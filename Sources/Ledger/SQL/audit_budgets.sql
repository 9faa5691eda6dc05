-- What the ledger says was charged to API keys in the periods of their budgets, by rows whose hold an image has seen and given back:
-- invariant I2, by key.
--
-- $1 tenants, with the image's $2 epoch and $3 number of its last hold · $4 the tenant of each budget, its $5 API key, and the $6 first
-- and $7 last day of its period · $8 the tenant of each hold in an image, its $9 trace, $10 epoch and $11 number
-- The watermark of the roll-ups is returned with each budget; rolled-up rows have ended before the images were read, if it has not
-- moved since.
WITH image AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS i(tenant_id, epoch, last_rseq)
), mark AS MATERIALIZED (
    SELECT trace_id FROM job_watermarks WHERE job = 'rollup'
), charged AS MATERIALIZED (
    SELECT i.tenant_id, b.api_key_id, b.day, b.charge
      FROM image i
     CROSS JOIN LATERAL (
        SELECT api_key_id, day, sum(charge) AS charge
          FROM billing_transactions
         WHERE tenant_id = i.tenant_id AND trace_id >= (SELECT trace_id FROM mark)
           AND (epoch < i.epoch OR (epoch = i.epoch AND rseq <= i.last_rseq)) AND charge > 0
         GROUP BY api_key_id, day
        OFFSET 0) b
    UNION ALL
    SELECT h.tenant_id, b.api_key_id, b.day, -b.charge
      FROM unnest($8::text[], $9::uuid[], $10::bigint[], $11::bigint[]) AS h(tenant_id, trace_id, epoch, rseq)
     CROSS JOIN LATERAL (
        SELECT b.api_key_id, b.day, b.charge
          FROM billing_transactions b
         WHERE b.tenant_id = h.tenant_id AND b.trace_id = h.trace_id AND b.epoch = h.epoch AND b.rseq = h.rseq
           AND b.charge > 0
        OFFSET 0) b
)
SELECT k.tenant_id, k.api_key_id, (SELECT trace_id FROM mark), r.charged + coalesce(sum(c.charge), 0)
  FROM unnest($4::text[], $5::text[], $6::bigint[], $7::bigint[]) AS k(tenant_id, api_key_id, first_day, last_day)
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(charged), 0) AS charged
      FROM ledger_rollups
     WHERE tenant_id = k.tenant_id AND api_key_id = k.api_key_id AND day BETWEEN k.first_day AND k.last_day) r
  LEFT JOIN charged c
    ON c.tenant_id = k.tenant_id AND c.api_key_id = k.api_key_id AND c.day BETWEEN k.first_day AND k.last_day
 GROUP BY k.tenant_id, k.api_key_id, r.charged
