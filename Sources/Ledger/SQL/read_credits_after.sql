-- Credits that an image has not seen yet, in their order.
SELECT seq, amount FROM credits WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT 1000
