-- Pending rows since a trace id ($1), of one tenant ($2) or of all (null), with what is known of their owner, the oldest first.
-- Whether its lease runs is decided as in read_orphans.sql.
SELECT b.tenant_id, b.trace_id, b.api_key_id, b.hold, b.owner, b.model, b.is_stream,
       o.owner IS NOT NULL
         AND greatest(o.lease_until, pg_postmaster_start_time() + (o.lease_until - o.renewed_at)) > now(),
       o.host, o.pid, o.process_start
  FROM billing_transactions b
  LEFT JOIN owners o ON o.owner = b.owner
 WHERE b.trace_id >= $1 AND b.status = 'pending' AND ($2::text IS NULL OR b.tenant_id = $2)
 ORDER BY b.trace_id
 LIMIT $3
