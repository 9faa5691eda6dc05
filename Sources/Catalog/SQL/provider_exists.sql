-- Whether there is a provider of that name.
SELECT EXISTS (SELECT FROM providers WHERE name = $1)
