-- What a roll-up of the time older than so many seconds ($1) would add: rows, up to the oldest that is still pending, the trace id where
-- it would end, and whether such a row keeps it there.
WITH bound AS (
    SELECT w.trace_id AS since, greatest(f.trace_id, trace_id_floor(now() - $1::integer * interval '1 second')) AS fence
      FROM job_watermarks w, job_watermarks f
     WHERE w.job = 'rollup' AND f.job = 'fence'
), held AS (
    SELECT b.trace_id
      FROM billing_transactions b
     WHERE b.trace_id >= (SELECT since FROM bound) AND b.trace_id < (SELECT fence FROM bound) AND b.status = 'pending'
     ORDER BY b.trace_id
     LIMIT 1
)
SELECT count(b.trace_id), coalesce((SELECT trace_id FROM held), (SELECT fence FROM bound)),
       EXISTS (SELECT FROM held)
  FROM billing_transactions b
 WHERE b.trace_id >= (SELECT since FROM bound)
   AND b.trace_id < coalesce((SELECT trace_id FROM held), (SELECT fence FROM bound))
