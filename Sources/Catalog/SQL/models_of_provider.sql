-- The names of a provider's models.
SELECT DISTINCT model FROM provider_models WHERE provider = $1 ORDER BY model
