-- What a key stands for, how that request has ended, and what it was answered if the body is the same.
SELECT k.trace_id, k.body_hash = $4, b.status, a.status, a.content_type, a.body
  FROM idempotency_keys k
  LEFT JOIN billing_transactions b ON b.tenant_id = k.tenant_id AND b.trace_id = k.trace_id
  LEFT JOIN idempotent_answers a ON a.tenant_id = k.tenant_id AND a.trace_id = k.trace_id AND k.body_hash = $4
 WHERE k.tenant_id = $1 AND k.api_key_id = $2 AND k.key = $3 AND k.expires_at > clock_timestamp()
