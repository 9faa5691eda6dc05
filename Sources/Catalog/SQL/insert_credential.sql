-- A provider's credential; the newest is used.
INSERT INTO provider_credentials (provider, sealed) VALUES ($1, $2)
