-- Removes answers that nobody is given any more: each is younger than the key that led to it.
DELETE FROM idempotent_answers WHERE created_at <= now() - interval '24 hours'
