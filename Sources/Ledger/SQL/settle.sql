-- Ends pending rows: each becomes committed or voided, once. A column that says nothing of any row may be null as a whole.
UPDATE billing_transactions b
   SET status = ($3::text[])[n], charge = ($4::bigint[])[n], price_version = ($5::bigint[])[n],
       input_tokens = coalesce(($6::bigint[])[n], 0), cached_input_tokens = coalesce(($7::bigint[])[n], 0),
       cache_write_tokens = coalesce(($8::bigint[])[n], 0), cache_write_hour_tokens = coalesce(($9::bigint[])[n], 0),
       output_tokens = coalesce(($10::bigint[])[n], 0), reasoning_tokens = coalesce(($11::bigint[])[n], 0),
       audio_input_tokens = coalesce(($12::bigint[])[n], 0), audio_output_tokens = coalesce(($13::bigint[])[n], 0),
       usage_source = ($14::text[])[n], provider = ($15::text[])[n], provider_model_id = ($16::bigint[])[n],
       upstream_model = ($17::text[])[n], is_error = coalesce(($18::boolean[])[n], false), error_code = ($19::text[])[n],
       stream_completed = coalesce(($20::boolean[])[n], false), interrupted_by = ($21::text[])[n],
       latency_ms = ($22::bigint[])[n], settled_at = clock_timestamp()
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS s(tenant_id, trace_id, n)
 WHERE b.tenant_id = s.tenant_id AND b.trace_id = s.trace_id AND b.status = 'pending'
