-- All that an image in Redis is made of, in one statement and so at one moment. $2 is the day, $3 the month.
-- The last column lists the pending holds as `trace amount|epoch|rseq|key|day|month|0|0`, separated by commas.
SELECT t.credit_limit, t.daily_quota, t.monthly_quota, t.limits_version, t.credit_seq, e.epoch,
       (SELECT coalesce(sum(amount), 0) FROM credits WHERE tenant_id = t.id)
         - b.committed - b.held AS balance,
       b.daily_used, b.monthly_used, b.holds
  FROM tenants t
  JOIN tenant_epoch e ON e.tenant_id = t.id
 CROSS JOIN (
    SELECT coalesce(sum(charge) FILTER (WHERE status = 'committed'), 0) AS committed,
           coalesce(sum(hold) FILTER (WHERE status = 'pending'), 0) AS held,
           count(*) FILTER (WHERE status <> 'voided' AND day = $2) AS daily_used,
           count(*) FILTER (WHERE status <> 'voided' AND month = $3) AS monthly_used,
           string_agg(trace_id || ' ' || hold || '|' || epoch || '|' || rseq || '|' || coalesce(api_key_id, '') || '|'
                      || day || '|' || month || '|0|0', ',') FILTER (WHERE status = 'pending') AS holds
      FROM billing_transactions
     WHERE tenant_id = $1) b
 WHERE t.id = $1
