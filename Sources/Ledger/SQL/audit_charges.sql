-- Committed rows since a trace id ($1), $2 of them at most, whose charge is not what their usage costs at the price they name, or
-- not the hold where that is less: invariants I6 and I7. The first column of each row is how many were looked at; there is always one.
WITH looked AS MATERIALIZED (
    SELECT b.tenant_id, b.trace_id, b.hold, b.charge, p.version,
           div(b.input_tokens::numeric * p.input + b.cached_input_tokens::numeric * p.cached_input
               + b.cache_write_tokens::numeric * p.cache_write
               + b.cache_write_hour_tokens::numeric * p.cache_write_hour + b.output_tokens::numeric * p.output
               + b.reasoning_tokens::numeric * p.reasoning + b.audio_input_tokens::numeric * p.audio_input
               + b.audio_output_tokens::numeric * p.audio_output + 500000, 1000000) + p.per_request AS cost
      FROM billing_transactions b
      LEFT JOIN prices p ON p.version = b.price_version
     WHERE b.trace_id >= $1 AND b.status = 'committed'
     LIMIT $2
), total AS (
    SELECT count(*) AS looked_at FROM looked
)
SELECT total.looked_at, w.tenant_id, w.trace_id, w.charge,
       CASE WHEN w.version IS NOT NULL THEN least(w.cost, w.hold)::bigint END
  FROM total
  LEFT JOIN looked w ON w.version IS NULL OR w.charge <> least(w.cost, w.hold)
 ORDER BY w.trace_id
 LIMIT 100
