-- The newest billing transactions first, before a trace id ($2) and not older than another ($5), of one tenant ($1) or of all
-- (null), in one status ($3) or any.
SELECT tenant_id, trace_id, api_key_id, status, hold, charge, model, provider, upstream_model, capability, is_stream,
       input_tokens, cached_input_tokens, cache_write_tokens, cache_write_hour_tokens, output_tokens, reasoning_tokens,
       audio_input_tokens, audio_output_tokens, usage_source, price_version, is_error, error_code, stream_completed,
       interrupted_by, latency_ms, balance_before, balance_after,
       to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       to_char(settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  FROM billing_transactions
 WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR trace_id < $2)
   AND ($3::text IS NULL OR status = $3) AND trace_id >= $5
 ORDER BY trace_id DESC
 LIMIT $4
