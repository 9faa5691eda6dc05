-- Removes owners whose lease ran out a day ago: their rows were swept long since, and a missing owner counts as dead.
DELETE FROM owners WHERE lease_until < now() - interval '1 day'
