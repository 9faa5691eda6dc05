-- Raises a tenant's epoch above the image seen. Committed alone, before the snapshot is read in a new statement: taken
-- together, a row accepted between the two would be missing from the snapshot.
UPDATE tenant_epoch SET epoch = greatest(epoch, $2) + 1 WHERE tenant_id = $1 RETURNING epoch
