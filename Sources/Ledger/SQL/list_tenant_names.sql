-- The tenants after a name, in their order.
SELECT tenant_id FROM tenant_epoch WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2
