-- Ends pending rows: each becomes committed or voided, once. A column that says nothing of any row may be null as a whole.
UPDATE billing_transactions b
   SET status = s.status, charge = s.charge, price_version = s.price_version,
       input_tokens = coalesce(s.input, 0), cached_input_tokens = coalesce(s.cached_input, 0),
       cache_write_tokens = coalesce(s.cache_write, 0),
       cache_write_hour_tokens = coalesce(s.cache_write_hour, 0), output_tokens = coalesce(s.output, 0),
       reasoning_tokens = coalesce(s.reasoning, 0), audio_input_tokens = coalesce(s.audio_input, 0),
       audio_output_tokens = coalesce(s.audio_output, 0), usage_source = s.usage_source,
       provider = s.provider, provider_model_id = s.provider_model_id, upstream_model = s.upstream_model,
       is_error = coalesce(s.is_error, false), error_code = s.error_code,
       stream_completed = coalesce(s.stream_completed, false), interrupted_by = s.interrupted_by,
       latency_ms = s.latency_ms, settled_at = clock_timestamp()
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[],
              $15::text[], $16::bigint[], $17::text[], $18::boolean[], $19::text[], $20::boolean[], $21::text[],
              $22::bigint[])
    AS s(tenant_id, trace_id, status, charge, price_version, input, cached_input, cache_write, cache_write_hour,
         output, reasoning, audio_input, audio_output, usage_source, provider, provider_model_id, upstream_model,
         is_error, error_code, stream_completed, interrupted_by, latency_ms)
 WHERE b.tenant_id = s.tenant_id AND b.trace_id = s.trace_id AND b.status = 'pending'
