-- Publishes a price: from now on it is in force for the model, at one provider or (null) at all that have none of their own.
INSERT INTO prices (
    model, provider, input, cached_input, cache_write, cache_write_hour, output, reasoning, audio_input, audio_output,
    per_request)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING version
