-- Both sums of the rolled-up rows, by key and by hour: what all tenants were charged, and how many requests were, is the house's
-- revenue (invariant I19).
SELECT k.charged = h.charged AND k.committed = h.committed AND k.voided = h.voided, k.charged - h.charged
  FROM (SELECT coalesce(sum(charged), 0) AS charged, coalesce(sum(committed), 0) AS committed,
               coalesce(sum(voided), 0) AS voided FROM ledger_rollups) k
 CROSS JOIN (SELECT coalesce(sum(charged), 0) AS charged, coalesce(sum(committed), 0) AS committed,
                    coalesce(sum(voided), 0) AS voided FROM usage_hourly) h
