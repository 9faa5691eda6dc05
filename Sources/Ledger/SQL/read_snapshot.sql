-- All that an image in Redis is made of, in one statement and so at one moment: roll-ups, and the rows that are not in them yet.
-- $2 is the day in which the caller is.
-- Counts are of the latest day that has requests, if that is later than the caller's: its clock may be behind others', or midnight
-- may have passed since it looked. The column of holds lists the pending holds as `trace amount|epoch|rseq|key|day|month|0|0`,
-- separated by commas; the one before it the budgets of API keys as `key|limit|period|used`, where used is of that day or its month.
SELECT t.credit_limit, t.daily_quota, t.monthly_quota, t.limits_version, t.credit_seq, e.epoch,
       (SELECT coalesce(sum(amount), 0) FROM credits WHERE tenant_id = t.id)
         - b.committed - b.held AS balance,
       b.day, b.daily_used, b.monthly_used,
       (SELECT string_agg(k.id || '|' || coalesce(k.budget_limit::text, '') || '|' || k.budget_period || '|' || (
                   SELECT least(coalesce(sum(used), 0), 900000000000000000)
                     FROM (SELECT day, charged AS used
                             FROM ledger_rollups
                            WHERE tenant_id = $1 AND api_key_id = k.id
                           UNION ALL
                           SELECT day, CASE status WHEN 'committed' THEN charge WHEN 'pending' THEN hold END
                             FROM billing_transactions
                            WHERE tenant_id = $1 AND api_key_id = k.id
                              AND trace_id >= (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')) of_key
                    WHERE CASE k.budget_period WHEN 'day' THEN day = b.day WHEN 'month' THEN day / 100 = b.day / 100
                                               ELSE true END), ',')
          FROM api_keys k
         WHERE k.tenant_id = t.id AND k.budget_period IS NOT NULL) AS budgets,
       b.holds, t.requests_per_minute, t.tokens_per_minute, t.concurrency
  FROM tenants t
  JOIN tenant_epoch e ON e.tenant_id = t.id
 CROSS JOIN (
    SELECT coalesce(max(latest), $2::integer) AS day,
           coalesce(sum(committed), 0) AS committed, coalesce(sum(held), 0) AS held,
           coalesce(sum(used) FILTER (WHERE day = latest), 0) AS daily_used,
           coalesce(sum(used) FILTER (WHERE day / 100 = latest / 100), 0) AS monthly_used,
           string_agg(holds, ',') AS holds
      FROM (SELECT days.*, greatest($2::integer, max(day) FILTER (WHERE used > 0) OVER ()) AS latest
              FROM (SELECT day, sum(committed) AS committed, sum(held) AS held, sum(used) AS used,
                           string_agg(holds, ',') AS holds
                      FROM (SELECT day, charged AS committed, 0 AS held, committed AS used, NULL AS holds
                              FROM ledger_rollups
                             WHERE tenant_id = $1
                            UNION ALL
                            SELECT day,
                                   coalesce(sum(charge) FILTER (WHERE status = 'committed'), 0),
                                   coalesce(sum(hold) FILTER (WHERE status = 'pending'), 0),
                                   count(*) FILTER (WHERE status <> 'voided'),
                                   string_agg(trace_id || ' ' || hold || '|' || epoch || '|' || rseq || '|'
                                              || coalesce(api_key_id, '') || '|' || day || '|' || month || '|0|0', ',')
                                       FILTER (WHERE status = 'pending')
                              FROM billing_transactions
                             WHERE tenant_id = $1
                               AND trace_id >= (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')
                             GROUP BY day) parts
                     GROUP BY day) days) counted) b
 WHERE t.id = $1
