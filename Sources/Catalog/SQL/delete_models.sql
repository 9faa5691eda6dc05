-- Ends a model ($1, null for every one) at one provider ($2) or at all (null); the providers that served it.
DELETE FROM provider_models
 WHERE ($1::text IS NULL OR model = $1) AND ($2::text IS NULL OR provider = $2)
RETURNING provider
