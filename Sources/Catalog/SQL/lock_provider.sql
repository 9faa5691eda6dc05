-- Keeps a provider as it is, and without further models, until the database transaction ends; nothing when there is none.
SELECT name FROM providers WHERE name = $1 FOR UPDATE
