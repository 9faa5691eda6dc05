-- Begins an epoch of a tenant for an image, above the one of the image seen. Committed alone, before the snapshot is read in a new
-- statement: taken together, a row accepted between the two would be missing from the snapshot.
-- None begins for an image from before the last change of the mode, nor while reservations are made in the ledger. That saves
-- quarrels, not money: whichever side has begun the last epoch knows all rows of the others.
UPDATE tenant_epoch
   SET epoch = greatest(epoch, $2) + 1, in_ledger = false
 WHERE tenant_id = $1 AND EXISTS (SELECT FROM quota_mode WHERE mode = 'redis' AND change = $3)
RETURNING epoch
