-- Begins an epoch of the ledger's own where the last one is an image's: no hold taken in that image is accepted any more. The locks
-- are held already, so that what this statement sees is current.
UPDATE tenant_epoch SET epoch = epoch + 1, in_ledger = true WHERE tenant_id = ANY ($1::text[]) AND NOT in_ledger
