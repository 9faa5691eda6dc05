-- The books of one tenant: credits, committed charges, pending holds, and how many rows there are of each.
SELECT (SELECT coalesce(sum(amount), 0) FROM credits WHERE tenant_id = $1) AS credited,
       coalesce(sum(charge) FILTER (WHERE status = 'committed'), 0) AS charged,
       coalesce(sum(hold) FILTER (WHERE status = 'pending'), 0) AS held,
       count(*) FILTER (WHERE status = 'committed') AS committed,
       count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'voided') AS voided
  FROM billing_transactions
 WHERE tenant_id = $1
