import Postgres

/// The ledger's SQL, each statement a file of its own under `SQL`.
enum LedgerStatements {
    static let insertPending = Statement(name: "insert_pending", sql: PackageResources.insert_pending_sql)
    static let settle = Statement(name: "settle", sql: PackageResources.settle_sql)
    static let insertHouseEntries = Statement(
        name: "insert_house_entries", sql: PackageResources.insert_house_entries_sql)
    static let readRows = Statement(name: "read_rows", sql: PackageResources.read_rows_sql)
    static let readStanding = Statement(name: "read_standing", sql: PackageResources.read_standing_sql)
    static let raiseEpoch = Statement(name: "raise_epoch", sql: PackageResources.raise_epoch_sql)
    static let readSnapshot = Statement(name: "read_snapshot", sql: PackageResources.read_snapshot_sql)
    static let insertCredit = Statement(name: "insert_credit", sql: PackageResources.insert_credit_sql)
    static let readCredit = Statement(name: "read_credit", sql: PackageResources.read_credit_sql)
    static let readCreditsAfter = Statement(
        name: "read_credits_after", sql: PackageResources.read_credits_after_sql)
    static let insertIncarnation = Statement(
        name: "insert_incarnation", sql: PackageResources.insert_incarnation_sql)
    static let renewOwner = Statement(name: "renew_owner", sql: PackageResources.renew_owner_sql)
    static let endOwner = Statement(name: "end_owner", sql: PackageResources.end_owner_sql)
    static let upsertCheckpoints = Statement(
        name: "upsert_checkpoints", sql: PackageResources.upsert_checkpoints_sql)
    static let deleteCheckpoints = Statement(
        name: "delete_checkpoints", sql: PackageResources.delete_checkpoints_sql)
    static let readOrphans = Statement(name: "read_orphans", sql: PackageResources.read_orphans_sql)
    static let insertTombstone = Statement(
        name: "insert_tombstone", sql: PackageResources.insert_tombstone_sql)
    static let readWatermark = Statement(name: "read_watermark", sql: PackageResources.read_watermark_sql)
    static let writeWatermark = Statement(name: "write_watermark", sql: PackageResources.write_watermark_sql)
    static let makePartitions = Statement(name: "make_partitions", sql: PackageResources.make_partitions_sql)
    static let listTransactions = Statement(
        name: "list_transactions", sql: PackageResources.list_transactions_sql)
    static let readDatabaseFacts = Statement(
        name: "read_database_facts", sql: PackageResources.read_database_facts_sql)
    static let readLivingOwners = Statement(
        name: "read_living_owners", sql: PackageResources.read_living_owners_sql)
    static let listPending = Statement(name: "list_pending", sql: PackageResources.list_pending_sql)
    static let readTenantTotals = Statement(
        name: "read_tenant_totals", sql: PackageResources.read_tenant_totals_sql)
    static let removeOldCheckpoints = Statement(
        name: "remove_old_checkpoints", sql: PackageResources.remove_old_checkpoints_sql)
    static let tryJobLock = Statement(name: "try_job_lock", sql: PackageResources.try_job_lock_sql)
    static let releaseJobLock = Statement(
        name: "release_job_lock", sql: PackageResources.release_job_lock_sql)
    static let readDurability = Statement(name: "read_durability", sql: PackageResources.read_durability_sql)
    static let removeOldOwners = Statement(
        name: "remove_old_owners", sql: PackageResources.remove_old_owners_sql)
}
