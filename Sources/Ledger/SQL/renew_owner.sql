-- Renews (or takes) a process's lease by PostgreSQL's clock.
INSERT INTO owners (owner, lease_until, host, pid, process_start)
VALUES ($1, now() + $2 * interval '1 second', $3, $4, $5)
ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until, renewed_at = now()
