-- A model at a provider; nothing is returned when it is there already or the provider is unknown.
INSERT INTO provider_models (
    model, provider, upstream_model, priority, weight, output_tokens_max, bytes_per_token, output_cap_field)
SELECT $1, p.name, $3, $4, $5, $6, $7, $8 FROM providers p WHERE p.name = $2
ON CONFLICT DO NOTHING
RETURNING id
