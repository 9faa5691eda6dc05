-- The hash of an admin token that is still good.
SELECT token_hash FROM admin_tokens WHERE id = $1 AND revoked_at IS NULL
