-- Every provider model, of one provider ($1) or of all (null), with the price in force as read_catalog.sql chooses it.
SELECT m.model, m.provider, m.upstream_model, m.priority, m.weight, m.output_tokens_max, m.bytes_per_token,
       m.output_cap_field, to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       r.version, r.input, r.cached_input, r.output, r.reasoning, r.per_request
  FROM provider_models m
  LEFT JOIN LATERAL (
      SELECT * FROM prices WHERE model = m.model AND (provider = m.provider OR provider IS NULL)
       ORDER BY provider IS NULL, version DESC LIMIT 1) r ON true
 WHERE $1::text IS NULL OR m.provider = $1
 ORDER BY m.model, m.priority, m.id
