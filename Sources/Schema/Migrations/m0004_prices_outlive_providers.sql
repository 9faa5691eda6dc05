-- A provider can be removed, and the prices that it alone had stay: rows of the ledger name their versions for ever.

ALTER TABLE prices DROP CONSTRAINT prices_provider_fkey;
