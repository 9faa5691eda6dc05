-- Credits of a tenant that its image has not counted ($2 is the last it has), or that are as large as a difference ($3).
SELECT seq, amount, kind, external_id, seq > $2::bigint
  FROM credits
 WHERE tenant_id = $1 AND (seq > $2::bigint OR amount = $3::bigint)
 ORDER BY seq DESC
 LIMIT 20
