-- What running streams have delivered so far.
INSERT INTO stream_checkpoints (
    tenant_id, trace_id, provider_model_id, price_version, input_tokens, output_tokens, usage_source)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
ON CONFLICT (tenant_id, trace_id) DO UPDATE
   SET input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
       usage_source = excluded.usage_source, at = clock_timestamp()
