-- How long this database transaction may wait for a lock: whoever comes after it waits as well.
SELECT set_config('lock_timeout', '2s', true)
