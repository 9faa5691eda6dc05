-- Removes checkpoints of rows that have ended: a stream that ends while its checkpoint is being written leaves one behind.
DELETE FROM stream_checkpoints c
 USING billing_transactions b
 WHERE c.at < now() - interval '1 hour'
   AND b.tenant_id = c.tenant_id AND b.trace_id = c.trace_id AND b.status <> 'pending'
