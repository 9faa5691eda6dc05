-- A new admin token.
INSERT INTO admin_tokens (id, label, token_hash) VALUES ($1, $2, $3)
