-- What a tenant has used of its minute, by PostgreSQL's clock: requests, tokens (of running ones as they were estimated), and the
-- seconds that are left. Ids carry their host's clock, which may be a little behind or ahead.
SELECT count(*), coalesce(sum(CASE status
           WHEN 'pending' THEN coalesce(tokens, 0)
           WHEN 'committed' THEN input_tokens + cached_input_tokens + cache_write_tokens + cache_write_hour_tokens
                + output_tokens + reasoning_tokens + audio_input_tokens + audio_output_tokens
           ELSE 0 END), 0)::bigint,
       60 - floor(extract(second FROM clock_timestamp()))::bigint
  FROM billing_transactions
 WHERE tenant_id = $1 AND trace_id >= trace_id_floor(date_trunc('minute', clock_timestamp()) - interval '5 minutes')
   AND created_at >= date_trunc('minute', clock_timestamp()) AND owner <> 'sweep'
