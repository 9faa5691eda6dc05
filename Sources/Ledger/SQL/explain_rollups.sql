-- Sums of a tenant's rolled-up rows, by key and day, that are not those of its rows: reads all of them.
SELECT coalesce(r.api_key_id, b.api_key_id), coalesce(r.day, b.day), coalesce(r.charged, 0), coalesce(b.charged, 0),
       coalesce(r.committed, 0), coalesce(b.committed, 0)
  FROM (SELECT api_key_id, day, charged, committed FROM ledger_rollups WHERE tenant_id = $1) r
  FULL JOIN (SELECT coalesce(api_key_id, '') AS api_key_id, day, sum(charge) AS charged,
                    count(*) FILTER (WHERE status = 'committed') AS committed
               FROM billing_transactions
              WHERE tenant_id = $1 AND trace_id < (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')
              GROUP BY 1, 2) b
         ON b.api_key_id = r.api_key_id AND b.day = r.day
 WHERE r.charged IS DISTINCT FROM b.charged OR r.committed IS DISTINCT FROM b.committed
 ORDER BY 2, 1
 LIMIT 20
