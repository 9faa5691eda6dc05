-- What is current of a tenant: its epoch, its last credit and its limits version.
SELECT e.epoch, t.credit_seq, t.limits_version
  FROM tenants t JOIN tenant_epoch e ON e.tenant_id = t.id
 WHERE t.id = $1
