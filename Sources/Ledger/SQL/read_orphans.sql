-- Pending rows since a trace id whose owner's lease has run out or was given up, with the stream's last checkpoint and the price
-- it names. Whether a live lease belongs to a process that is gone is decided by the reader: `host`, `pid`, `process_start`.
SELECT b.tenant_id, b.trace_id, b.epoch, b.rseq, b.hold, b.owner,
       o.owner IS NOT NULL AND o.lease_until > now() AS leased, o.host, o.pid, o.process_start,
       c.input_tokens, c.output_tokens, c.usage_source, c.provider_model_id,
       p.version, p.input, p.output, p.per_request
  FROM billing_transactions b
  LEFT JOIN owners o ON o.owner = b.owner
  LEFT JOIN stream_checkpoints c ON c.tenant_id = b.tenant_id AND c.trace_id = b.trace_id
  LEFT JOIN prices p ON p.version = c.price_version
 WHERE b.trace_id >= $1 AND b.status = 'pending'
 ORDER BY b.trace_id
 LIMIT $2
