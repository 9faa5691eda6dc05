-- Every provider model with its provider, the newest credential and the price in force: the provider's own, or the model's.
SELECT m.id, m.model, m.upstream_model, m.priority, m.weight, m.output_tokens_max, m.bytes_per_token, m.output_cap_field,
       p.name, p.base_url, p.allow_private_addresses, c.sealed,
       r.version, r.input, r.cached_input, r.cache_write, r.cache_write_hour, r.output, r.reasoning, r.audio_input,
       r.audio_output, r.per_request
  FROM provider_models m
  JOIN providers p ON p.name = m.provider
  LEFT JOIN LATERAL (
      SELECT sealed FROM provider_credentials WHERE provider = p.name ORDER BY id DESC LIMIT 1) c ON true
  LEFT JOIN LATERAL (
      SELECT * FROM prices WHERE model = m.model AND (provider = m.provider OR provider IS NULL)
       ORDER BY provider IS NULL, version DESC LIMIT 1) r ON true
 ORDER BY m.model, m.priority, m.id
