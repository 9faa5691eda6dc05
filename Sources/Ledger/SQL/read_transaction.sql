-- Everything about the billing transaction under a trace: the columns of list_transactions.sql, then its hold, the price it names,
-- and what the house paid beyond the hold.
SELECT b.tenant_id, b.trace_id, b.api_key_id, b.status, b.hold, b.charge, b.model, b.provider, b.upstream_model, b.capability,
       b.is_stream, b.input_tokens, b.cached_input_tokens, b.cache_write_tokens, b.cache_write_hour_tokens, b.output_tokens,
       b.reasoning_tokens, b.audio_input_tokens, b.audio_output_tokens, b.usage_source, b.price_version, b.is_error,
       b.error_code, b.stream_completed, b.interrupted_by, b.latency_ms, b.balance_before, b.balance_after,
       to_char(b.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       to_char(b.settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       b.epoch, b.rseq, b.day, b.owner, to_char(b.deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       p.version, p.input, p.cached_input, p.cache_write, p.cache_write_hour, p.output, p.reasoning, p.audio_input,
       p.audio_output, p.per_request,
       (SELECT coalesce(sum(amount), 0) FROM house_entries h
         WHERE h.tenant_id = b.tenant_id AND h.trace_id = b.trace_id)
  FROM billing_transactions b
  LEFT JOIN prices p ON p.version = b.price_version
 WHERE b.trace_id = $1
 ORDER BY b.tenant_id
