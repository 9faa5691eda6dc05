-- Waits for all reservations of these tenants, and keeps others out until this database transaction ends. In the order of their
-- names, as those do who share these locks.
SELECT FROM tenant_epoch WHERE tenant_id = ANY ($1::text[]) ORDER BY tenant_id FOR UPDATE
