package import Core
package import Postgres

/// A budget as a tenant's image shows it, for the ledger to say what was charged in its period.
package struct SeenBudget: Sendable, Hashable {
    /// The tenant of the image.
    package let tenant: TenantID
    /// The public part of the API key.
    package let key: String
    /// The days (`yyyymmdd`) that count.
    package let days: ClosedRange<Int64>

    /// Creates a budget of the given period as the image names it: a day, a month, or anything else for all time.
    package init(tenant: TenantID, key: String, period: String) {
        self.tenant = tenant
        self.key = key
        switch (period.utf8.count, Int64(period)) {
        case (8, let day?): days = day...day
        case (6, let month?): days = month * 100...month * 100 + 99
        default: days = 0...Int64(Int32.max)
        }
    }

    /// Whether a request that counts in a day and its month counts in the budget's period.
    package func contains(_ period: Period) -> Bool {
        days.contains(Int64(period.day))
    }
}

extension LedgerAudit {
    /// The API keys that have a budget, of each of some tenants.
    package func budgetKeys(of tenants: [TenantID]) throws(PostgresError) -> [TenantID: [String]] {
        let rows = try lookups.query(
            LedgerStatements.listBudgetKeys, [.textArray(tenants.map(\.description))])
        var keys: [TenantID: [String]] = [:]
        for row in 0..<rows.count {
            guard let tenant = TenantID(rows.text(row, 0)) else { continue }
            keys[tenant, default: []].append(rows.text(row, 1))
        }
        return keys
    }

    /// Tenants after one that have budgets, in their order: all, or those that have been looked at since their budgets were.
    package func tenantsWithBudgets(
        after name: String, all: Bool, countMax: Int
    ) throws(PostgresError) -> [TenantID] {
        let rows = try scans.query(
            LedgerStatements.listBudgetTenants, [.text(name), .bool(all), .int(Int64(countMax))])
        return (0..<rows.count).compactMap { TenantID(rows.text($0, 0)) }
    }

    /// What was charged in the periods of budgets by rows that their images have seen and do not hold any more; nil when rows have been
    /// rolled up since the watermark was read, which must have been before the images were.
    package func charges(
        in budgets: [SeenBudget], of images: [SeenImage], rolledUpTo watermark: TraceID
    ) throws(PostgresError) -> [SeenBudget: Money]? {
        guard !budgets.isEmpty else { return [:] }
        let holds = images.flatMap { image in image.holds.map { (tenant: image.tenant, hold: $0) } }
        let rows = try lookups.query(
            LedgerStatements.auditBudgets,
            [
                .textArray(images.map(\.tenant.description)), .intArray(images.map(\.epoch)),
                .intArray(images.map(\.lastHold)),
                .textArray(budgets.map(\.tenant.description)), .textArray(budgets.map(\.key)),
                .intArray(budgets.map(\.days.lowerBound)), .intArray(budgets.map(\.days.upperBound)),
                .textArray(holds.map(\.tenant.description)), .uuidArray(holds.map(\.hold.trace.bits)),
                .intArray(holds.map(\.hold.epoch)), .intArray(holds.map(\.hold.rseq)),
            ])
        var found: [String: Money] = [:]
        for row in 0..<rows.count {
            guard TraceID(rows.text(row, 2)) == watermark else { return nil }
            found[rows.text(row, 0) + " " + rows.text(row, 1)] = Money(nanodollars: rows.int(row, 3))
        }
        return budgets.reduce(into: [:]) { $0[$1] = found["\($1.tenant) \($1.key)"] }
    }
}
