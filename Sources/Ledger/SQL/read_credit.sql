-- The credit under an external id.
SELECT seq, amount FROM credits WHERE tenant_id = $1 AND external_id = $2
