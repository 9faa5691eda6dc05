-- Removes idempotency keys that have expired.
DELETE FROM idempotency_keys WHERE expires_at <= now()
