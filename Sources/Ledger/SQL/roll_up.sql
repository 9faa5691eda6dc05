-- Adds the rows from the watermark up to $1, or up to the oldest that is still pending, to the sums, and moves the watermark there.
-- One statement: whoever sees the new watermark sees the new sums, and a crash leaves both as they were.
WITH bound AS MATERIALIZED (
    SELECT w.trace_id AS since,
           coalesce((SELECT b.trace_id FROM billing_transactions b
                      WHERE b.trace_id >= w.trace_id AND b.trace_id < $1::uuid AND b.status = 'pending'
                      ORDER BY b.trace_id LIMIT 1),
                    $1::uuid) AS upto
      FROM job_watermarks w
     WHERE w.job = 'rollup'
), ended AS MATERIALIZED (
    SELECT b.tenant_id, coalesce(b.api_key_id, '') AS api_key_id, b.day, b.status, b.charge, b.is_error, b.model,
           coalesce(b.provider, '') AS provider, date_trunc('hour', trace_id_time(b.trace_id), 'UTC') AS hour,
           b.input_tokens + b.cached_input_tokens + b.cache_write_tokens + b.cache_write_hour_tokens
             + b.audio_input_tokens AS input_tokens,
           b.output_tokens + b.reasoning_tokens + b.audio_output_tokens AS output_tokens,
           coalesce(b.latency_ms, 0) AS latency_ms
      FROM billing_transactions b
     WHERE b.trace_id >= (SELECT since FROM bound) AND b.trace_id < (SELECT upto FROM bound)
), days AS (
    INSERT INTO ledger_rollups AS r (tenant_id, api_key_id, day, committed, voided, charged)
    SELECT tenant_id, api_key_id, day, count(*) FILTER (WHERE status = 'committed'),
           count(*) FILTER (WHERE status = 'voided'), sum(charge)
      FROM ended
     GROUP BY tenant_id, api_key_id, day
    ON CONFLICT (tenant_id, api_key_id, day) DO UPDATE
       SET committed = r.committed + excluded.committed, voided = r.voided + excluded.voided,
           charged = r.charged + excluded.charged
), hours AS (
    INSERT INTO usage_hourly AS u (
        hour, tenant_id, api_key_id, model, provider, committed, voided, errors, input_tokens, output_tokens, latency_ms,
        charged)
    SELECT hour, tenant_id, api_key_id, model, provider, count(*) FILTER (WHERE status = 'committed'),
           count(*) FILTER (WHERE status = 'voided'), count(*) FILTER (WHERE is_error), sum(input_tokens),
           sum(output_tokens), sum(latency_ms), sum(charge)
      FROM ended
     GROUP BY hour, tenant_id, api_key_id, model, provider
    ON CONFLICT (hour, tenant_id, api_key_id, model, provider) DO UPDATE
       SET committed = u.committed + excluded.committed, voided = u.voided + excluded.voided,
           errors = u.errors + excluded.errors, input_tokens = u.input_tokens + excluded.input_tokens,
           output_tokens = u.output_tokens + excluded.output_tokens,
           latency_ms = u.latency_ms + excluded.latency_ms, charged = u.charged + excluded.charged
)
UPDATE job_watermarks w
   SET trace_id = bound.upto
  FROM bound
 WHERE w.job = 'rollup' AND bound.upto > bound.since
RETURNING w.trace_id, (SELECT count(*) FROM ended)
