-- Forgets a provider's credentials.
DELETE FROM provider_credentials WHERE provider = $1
