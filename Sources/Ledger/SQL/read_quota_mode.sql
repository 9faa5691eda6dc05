-- The mode of the installation, the number of its last change, who made it, and seconds since.
SELECT mode = 'database', change, by_owner, extract(epoch FROM clock_timestamp() - since)::bigint FROM quota_mode
