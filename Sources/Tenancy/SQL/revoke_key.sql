-- Ends an API key, for ever. Returns its id when there is such a key.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id
