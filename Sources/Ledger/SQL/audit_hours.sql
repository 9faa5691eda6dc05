-- Whether the rows of one hour of trace ids ($1, Unix seconds) still say what they said when they were rolled up. Both sides are
-- whole only when the hour lies behind the watermark; otherwise there is no row.
SELECT h.committed = b.committed AND h.voided = b.voided AND h.charged = b.charged
       AND h.input_tokens = b.input_tokens AND h.output_tokens = b.output_tokens,
       b.committed + b.voided
  FROM (SELECT to_timestamp($1::bigint) AS hour) wanted
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(committed), 0) AS committed, coalesce(sum(voided), 0) AS voided,
           coalesce(sum(charged), 0) AS charged, coalesce(sum(input_tokens), 0) AS input_tokens,
           coalesce(sum(output_tokens), 0) AS output_tokens
      FROM usage_hourly u
     WHERE u.hour = wanted.hour) h
 CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status = 'committed') AS committed,
           count(*) FILTER (WHERE status = 'voided') AS voided, coalesce(sum(charge), 0) AS charged,
           coalesce(sum(input_tokens + cached_input_tokens + cache_write_tokens + cache_write_hour_tokens
                        + audio_input_tokens), 0) AS input_tokens,
           coalesce(sum(output_tokens + reasoning_tokens + audio_output_tokens), 0) AS output_tokens
      FROM billing_transactions
     WHERE trace_id >= trace_id_floor(wanted.hour)
       AND trace_id < trace_id_floor(wanted.hour + interval '1 hour')) b
 WHERE trace_id_floor(wanted.hour + interval '1 hour')
       <= (SELECT trace_id FROM job_watermarks WHERE job = 'rollup')
