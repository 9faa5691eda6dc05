-- Where reservations are made: in images in Redis, or, while Redis is lost, in the ledger itself.

-- The mode of the installation, one row.
CREATE TABLE quota_mode (
    is_only       boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    mode          text NOT NULL DEFAULT 'redis' CHECK (mode IN ('redis', 'database')),
    -- How often it has changed. An image is good only for the change after which it was made.
    change        bigint NOT NULL DEFAULT 0,
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_owner      text NOT NULL DEFAULT '',
    -- When some process last found Redis lost, while the mode is 'database'.
    redis_lost_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO quota_mode DEFAULT VALUES;
GRANT SELECT ON quota_mode TO tollgate_app;
GRANT UPDATE (mode, change, since, by_owner, redis_lost_at) ON quota_mode TO tollgate_app;

-- Whose an epoch is: an image's, or the ledger's own. Only its owner's reservations are accepted in it, and whoever is not its owner
-- begins another.
ALTER TABLE tenant_epoch ADD COLUMN in_ledger boolean NOT NULL DEFAULT false;
GRANT UPDATE (in_ledger) ON tenant_epoch TO tollgate_app;

-- After each change of the mode the same life of Redis has another number, so that every image from before is missing.
ALTER TABLE redis_incarnations
    ADD COLUMN mode_change bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT redis_incarnations_run_id_replication_id_key,
    ADD UNIQUE (run_id, replication_id, mode_change);

-- The tokens that a reservation made in the ledger was believed to take; null for those made in an image, which knows itself.
ALTER TABLE billing_transactions ADD COLUMN tokens bigint;
