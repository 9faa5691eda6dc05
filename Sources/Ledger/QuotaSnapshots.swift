package import Core
package import Postgres

/// What Redis showed of a tenant.
package struct QuotaSnapshot: Sendable {
    /// Whose.
    package let tenant: TenantID
    /// The balance with all holds taken.
    package let balance: Money
    /// All holds together.
    package let held: Money
    /// Requests of the day.
    package let dailyUsed: Int64
    /// Requests of the month.
    package let monthlyUsed: Int64
    /// That day and month.
    package let period: Period
    /// The epoch of the image.
    package let epoch: Int64
    /// The version of its limits.
    package let limitsVersion: Int64

    /// Creates a snapshot.
    package init(
        tenant: TenantID, balance: Money, held: Money, dailyUsed: Int64, monthlyUsed: Int64, period: Period,
        epoch: Int64, limitsVersion: Int64
    ) {
        self.tenant = tenant
        self.balance = balance
        self.held = held
        self.dailyUsed = dailyUsed
        self.monthlyUsed = monthlyUsed
        self.period = period
        self.epoch = epoch
        self.limitsVersion = limitsVersion
    }
}

/// What Redis showed of an API key's budget.
package struct BudgetSnapshot: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// The public part of the key.
    package let key: String
    /// The budget.
    package let limit: Money
    /// What was used of it.
    package let used: Money
    /// The period that this counts in, as the image names it.
    package let period: String

    /// Creates a snapshot.
    package init(tenant: TenantID, key: String, limit: Money, used: Money, period: String) {
        self.tenant = tenant
        self.key = key
        self.limit = limit
        self.used = used
        self.period = period
    }
}

extension LedgerStore {
    /// PostgreSQL's clock, for snapshots that are read after it.
    package func clock() throws(PostgresError) -> String {
        try database.query(LedgerStatements.readClock, []).text(0, 0)
    }

    /// Stores what Redis showed of tenants, each once, after a moment of ``clock()``.
    package func store(_ snapshots: [QuotaSnapshot], readAt moment: String) throws(PostgresError) {
        guard !snapshots.isEmpty else { return }
        _ = try database.query(
            LedgerStatements.upsertTenantQuotas,
            [
                .textArray(snapshots.map(\.tenant.description)),
                .intArray(snapshots.map(\.balance.nanodollars)),
                .intArray(snapshots.map(\.held.nanodollars)), .intArray(snapshots.map(\.dailyUsed)),
                .intArray(snapshots.map { Int64($0.period.day) }), .intArray(snapshots.map(\.monthlyUsed)),
                .intArray(snapshots.map { Int64($0.period.month) }), .intArray(snapshots.map(\.epoch)),
                .intArray(snapshots.map(\.limitsVersion)), .text(moment),
            ])
    }

    /// Stores what Redis showed of API keys, each once, after a moment of ``clock()``.
    package func store(_ snapshots: [BudgetSnapshot], readAt moment: String) throws(PostgresError) {
        guard !snapshots.isEmpty else { return }
        _ = try database.query(
            LedgerStatements.upsertKeyQuotas,
            [
                .textArray(snapshots.map(\.tenant.description)), .textArray(snapshots.map(\.key)),
                .intArray(snapshots.map(\.limit.nanodollars)),
                .intArray(snapshots.map(\.used.nanodollars)), .textArray(snapshots.map(\.period)),
                .text(moment),
            ])
    }
}
