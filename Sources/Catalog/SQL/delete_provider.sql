-- Ends a provider that has neither models nor credentials any more.
DELETE FROM providers WHERE name = $1
