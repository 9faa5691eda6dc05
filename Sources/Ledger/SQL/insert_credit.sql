-- Adds a credit under the next number of its tenant. Nothing is returned when the tenant is unknown.
WITH numbered AS (
    UPDATE tenants SET credit_seq = credit_seq + 1 WHERE id = $1 RETURNING id, credit_seq
)
INSERT INTO credits (tenant_id, seq, amount, kind, external_id)
SELECT id, credit_seq, $2, $3, $4 FROM numbered
RETURNING seq
