-- Of requests with an idempotency key, those whose key stands for another request.
SELECT i.trace_id
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) AS i(tenant_id, trace_id, api_key_id, key)
  JOIN idempotency_keys k ON k.tenant_id = i.tenant_id AND k.api_key_id = i.api_key_id AND k.key = i.key
 WHERE k.trace_id <> i.trace_id
