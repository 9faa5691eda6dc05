-- A new provider; nothing is returned when the name is taken.
INSERT INTO providers (name, base_url, allow_private_addresses) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING name
