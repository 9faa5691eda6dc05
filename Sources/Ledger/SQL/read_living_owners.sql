-- Processes whose lease runs.
SELECT owner, host, pid, process_start FROM owners WHERE lease_until > now() ORDER BY owner
