import Postgres

/// The ledger's SQL, each statement a file of its own under `SQL`.
enum LedgerStatements {
    static let insertPending = Statement(name: "insert_pending", sql: PackageResources.insert_pending_sql)
    static let settle = Statement(name: "settle", sql: PackageResources.settle_sql)
    static let raiseHolds = Statement(name: "raise_holds", sql: PackageResources.raise_holds_sql)
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

// MARK: - Roll-ups, audits and snapshots

extension LedgerStatements {
    static let limitLockWait = Statement(name: "limit_lock_wait", sql: PackageResources.limit_lock_wait_sql)
    static let lockFence = Statement(name: "lock_fence", sql: PackageResources.lock_fence_sql)
    static let raiseFence = Statement(name: "raise_fence", sql: PackageResources.raise_fence_sql)
    static let readOldestRow = Statement(name: "read_oldest_row", sql: PackageResources.read_oldest_row_sql)
    static let lockRollup = Statement(name: "lock_rollup", sql: PackageResources.lock_rollup_sql)
    static let rollUp = Statement(name: "roll_up", sql: PackageResources.roll_up_sql)
    static let countRollup = Statement(name: "count_rollup", sql: PackageResources.count_rollup_sql)
    static let auditImages = Statement(name: "audit_images", sql: PackageResources.audit_images_sql)
    static let listBudgetKeys = Statement(
        name: "list_budget_keys", sql: PackageResources.list_budget_keys_sql)
    static let auditBudgets = Statement(name: "audit_budgets", sql: PackageResources.audit_budgets_sql)
    static let listTenantNames = Statement(
        name: "list_tenant_names", sql: PackageResources.list_tenant_names_sql)
    static let auditGuards = Statement(name: "audit_guards", sql: PackageResources.audit_guards_sql)
    static let auditCharges = Statement(name: "audit_charges", sql: PackageResources.audit_charges_sql)
    static let auditHours = Statement(name: "audit_hours", sql: PackageResources.audit_hours_sql)
    static let readOldestHour = Statement(
        name: "read_oldest_hour", sql: PackageResources.read_oldest_hour_sql)
    static let auditRollups = Statement(name: "audit_rollups", sql: PackageResources.audit_rollups_sql)
    static let readTransaction = Statement(
        name: "read_transaction", sql: PackageResources.read_transaction_sql)
    static let explainRows = Statement(name: "explain_rows", sql: PackageResources.explain_rows_sql)
    static let explainPending = Statement(name: "explain_pending", sql: PackageResources.explain_pending_sql)
    static let explainCredits = Statement(name: "explain_credits", sql: PackageResources.explain_credits_sql)
    static let explainRollups = Statement(name: "explain_rollups", sql: PackageResources.explain_rollups_sql)
    static let upsertTenantQuotas = Statement(
        name: "upsert_tenant_quotas", sql: PackageResources.upsert_tenant_quotas_sql)
    static let upsertKeyQuotas = Statement(
        name: "upsert_key_quotas", sql: PackageResources.upsert_key_quotas_sql)
    static let listBudgetTenants = Statement(
        name: "list_budget_tenants", sql: PackageResources.list_budget_tenants_sql)
    static let readClock = Statement(name: "read_clock", sql: PackageResources.read_clock_sql)
    static let removeOldIncarnations = Statement(
        name: "remove_old_incarnations", sql: PackageResources.remove_old_incarnations_sql)
}
