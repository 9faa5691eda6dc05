import Core
import Postgres

extension TenantSnapshot {
    /// Reads the answer to the statement of snapshots; nil when there is no such tenant.
    init?(_ rows: borrowing Rows) {
        guard rows.count == 1 else { return nil }
        let limits = TenantLimits(
            version: rows.int(0, 3), creditLimit: Money(nanodollars: rows.int(0, 0)),
            dailyQuota: rows.optionalInt(0, 1), monthlyQuota: rows.optionalInt(0, 2),
            requestsPerMinute: rows.optionalInt(0, 12), tokensPerMinute: rows.optionalInt(0, 13),
            concurrency: rows.optionalInt(0, 14))
        let holds = (rows.optionalText(0, 11) ?? "").split(separator: ",").map { entry in
            let parts = entry.split(separator: " ", maxSplits: 1)
            return (trace: String(parts[0]), hold: String(parts[1]))
        }
        self.init(
            limits: limits,
            standing: TenantStanding(
                epoch: rows.int(0, 5), creditSequence: rows.int(0, 4), limitsVersion: limits.version),
            balance: Money(nanodollars: rows.int(0, 6)), period: Period(day: Int32(rows.int(0, 7))),
            dailyUsed: rows.int(0, 8), monthlyUsed: rows.int(0, 9),
            budgets: TenantSnapshot.budgets(rows.optionalText(0, 10)), holds: holds)
    }

    /// Reads `key|limit|period|used`, separated by commas.
    private static func budgets(_ text: String?) -> [SpentBudget] {
        (text ?? "").split(separator: ",").map { entry in
            let parts = entry.split(separator: "|", omittingEmptySubsequences: false)
            guard parts.count == 4, let key = APIKeyID(String(parts[0])),
                let period = BudgetPeriod(rawValue: String(parts[2])), let used = Int64(parts[3])
            else { preconditionFailure("the statement writes budgets like this") }
            let limit = Int64(parts[1]).map { Money(nanodollars: $0) }
            return SpentBudget(
                key: key, budget: KeyBudget(limit: limit, period: period), used: Money(nanodollars: used))
        }
    }
}
