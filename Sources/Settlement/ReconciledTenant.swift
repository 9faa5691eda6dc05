package import Core
package import Ledger
package import Quota

/// Both sides of a tenant's books at one moment: what its image shows, and what the ledger says that it should show.
package struct ReconciledTenant: Sendable {
    /// Whose books.
    package let tenant: TenantID
    /// The image.
    package let image: ImageReading
    /// The ledger's side.
    package let sums: AuditedSums
    /// Both sides of the budgets of its API keys.
    package var budgets: [ReconciledBudget] = []

    /// What the image's balance and holds should come to together.
    package var expected: Money { sums.credited - sums.charged }
    /// What they come to.
    package var shown: Money { image.balance + image.held }
    /// What the image has too much; negative when it has too little.
    package var drift: Money { shown - expected }
    /// What the image counts too much of the day's requests.
    package var dailyDrift: Int64 {
        image.dailyUsed - sums.dailyUsed - Int64(image.holds.count { $0.period.day == image.period.day })
    }
    /// What the image counts too much of the month's requests.
    package var monthlyDrift: Int64 {
        image.monthlyUsed - sums.monthlyUsed
            - Int64(image.holds.count { $0.period.month == image.period.month })
    }
    /// Whether both sides agree to the nano-dollar, and to the request.
    package var isExact: Bool {
        drift == .zero && dailyDrift == 0 && monthlyDrift == 0 && sums.unheld == 0
            && budgets.allSatisfy { $0.drift == .zero }
    }
}

/// Both sides of the budget of an API key at one moment.
package struct ReconciledBudget: Sendable {
    /// The public part of the key.
    package let key: String
    /// What the image shows.
    package let shown: StoredBudget
    /// What it should show as used: the charges and holds of its period.
    package let expected: Money

    /// What the image counts too much as used.
    package var drift: Money { shown.used - expected }
}

extension ReconciledTenant {
    /// What differs, in words.
    package var words: String {
        var words: [String] = []
        if drift > .zero { words.append("Redis has $\(drift) too much") }
        if drift < .zero { words.append("Redis has $\(Money.zero - drift) too little") }
        if dailyDrift != 0 { words.append("\(dailyDrift) requests of the day too many") }
        if monthlyDrift != 0 { words.append("\(monthlyDrift) requests of the month too many") }
        if sums.unheld != 0 { words.append("\(sums.unheld) pending rows are not held") }
        for budget in budgets where budget.drift != .zero {
            words.append("key \(budget.key) has used $\(budget.shown.used) instead of $\(budget.expected)")
        }
        return words.isEmpty ? "exact" : words.joined(separator: ", ")
    }
}
