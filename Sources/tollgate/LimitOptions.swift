import ArgumentParser
import Core
import Gateway
import Settlement
import Tenancy

/// The limits of a tenant, as `tenant create` and `tenant set` take them.
struct LimitOptions: ParsableArguments {
    @Option(help: "How far below zero its balance may go, in dollars.") var creditLimit: String?
    @Option(help: "Requests a day, or 'none'.") var dailyQuota: String?
    @Option(help: "Requests a month, or 'none'.") var monthlyQuota: String?
    @Option(help: "Requests a minute, or 'none'.") var rpm: String?
    @Option(help: "Tokens a minute, or 'none'.") var tpm: String?
    @Option(help: "Requests that may run at the same time, or 'none'.") var concurrency: String?
    @Option(help: "The time zone of its days and months.") var timeZone: String?

    /// What the options change; an option that cannot be right ends the command.
    func change() throws -> TenantChange {
        var change = TenantChange()
        if let timeZone, !TimeZones.isKnown(timeZone) {
            throw ValidationError("--time-zone: '\(timeZone)' is not known")
        }
        change.timeZone = timeZone
        change.creditLimit = try creditLimit.map { try parseMoney($0, "--credit-limit") }
        guard change.creditLimit ?? .zero <= .holdLimit else {
            throw ValidationError("--credit-limit: at most \(Money.holdLimit)")
        }
        change.dailyQuota = try limit(dailyQuota, "--daily-quota") { LimitChange.quota($0) }
        change.monthlyQuota = try limit(monthlyQuota, "--monthly-quota") { LimitChange.quota($0) }
        change.requestsPerMinute = try limit(rpm, "--rpm") { LimitChange.rate($0) }
        change.tokensPerMinute = try limit(tpm, "--tpm") { LimitChange.rate($0) }
        change.concurrency = try limit(concurrency, "--concurrency") { LimitChange.rate($0) }
        return change
    }

    private func limit(
        _ text: String?, _ option: String, _ change: (Int64) -> LimitChange?
    ) throws -> LimitChange? {
        guard let text, text != "none" else { return text == nil ? nil : LimitChange.none }
        guard let change = Int64(text).flatMap(change) else {
            throw ValidationError("\(option): '\(text)' is not a limit; give a number, or 'none'")
        }
        return change
    }
}

/// An API key's budget, as `key create` and `key set` take it.
struct BudgetOptions: ParsableArguments {
    @Option(help: "The most it may spend, in dollars, or 'none'.") var budget: String?
    @Option(help: "How long its budget lasts: total, day or month.") var budgetPeriod: String?

    /// The new limit; nil when none was given.
    func limit() throws -> LimitChange? {
        guard let budget, budget != "none" else { return budget == nil ? nil : LimitChange.none }
        return LimitChange.budget(try parseMoney(budget, "--budget"))
    }

    /// The new period; nil when none was given.
    func period() throws -> BudgetPeriod? {
        try budgetPeriod.map { text in
            guard let period = BudgetPeriod(rawValue: text) else {
                throw ValidationError("--budget-period: total, day or month")
            }
            return period
        }
    }
}

extension CommandStores {
    /// Lets new limits take effect at once; where Redis does not answer, gateways find out by themselves.
    func applyLimits(of tenant: TenantID) {
        // `attempt` has said why; the change itself is made.
        _ = try? attempt { try money.settlement.applyLimits(of: tenant) }
    }
}

extension KeyBudget {
    /// For people: `$5.000000000 a day`.
    var text: String {
        guard let limit else { return "none" }
        return period == .total ? "$\(limit)" : "$\(limit) a \(period.rawValue)"
    }
}
