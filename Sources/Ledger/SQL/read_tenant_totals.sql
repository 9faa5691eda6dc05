-- The books of one tenant: credits, committed charges, pending holds, and how many rows there are of each. From roll-ups, and the
-- rows that are not in them yet.
SELECT (SELECT coalesce(sum(amount), 0) FROM credits WHERE tenant_id = $1) AS credited,
       rolled.charged + recent.charged, recent.held, rolled.committed + recent.committed, recent.pending,
       rolled.voided + recent.voided
  FROM (SELECT coalesce(sum(charged), 0) AS charged, coalesce(sum(committed), 0) AS committed,
               coalesce(sum(voided), 0) AS voided
          FROM ledger_rollups
         WHERE tenant_id = $1) rolled
 CROSS JOIN (SELECT coalesce(sum(charge) FILTER (WHERE status = 'committed'), 0) AS charged,
                    coalesce(sum(hold) FILTER (WHERE status = 'pending'), 0) AS held,
                    count(*) FILTER (WHERE status = 'committed') AS committed,
                    count(*) FILTER (WHERE status = 'pending') AS pending,
                    count(*) FILTER (WHERE status = 'voided') AS voided
               FROM billing_transactions
              WHERE tenant_id = $1
                AND trace_id >= (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')) recent
