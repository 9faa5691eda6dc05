package import Core

/// A tenant's image that is not in Redis: takes holds as `quota_deduct.lua` does, refusals and their words included.
///
/// It lives as long as one batch of reservations in the ledger, whose sums it is made of.
package struct DetachedImage: Sendable {
    private struct Budget {
        let limit: Money
        let period: BudgetPeriod
        var used: Money
    }

    private let contents: ImageContents
    private var balance: Money
    private var dailyUsed: Int64
    private var monthlyUsed: Int64
    private var running: Int64
    private var holders: Set<String>
    private var requests: Int64
    private var tokens: Int64
    private let secondsLeft: Int64
    private var budgets: [APIKeyID: Budget] = [:]

    private var limits: TenantLimits { contents.limits }

    /// Creates the image.
    ///
    /// - Parameters:
    ///   - contents: As it would be installed in Redis.
    ///   - minute: What was used of this minute; not looked at without limits of a minute.
    package init(_ contents: ImageContents, minute: (requests: Int64, tokens: Int64, secondsLeft: Int64)?) {
        self.contents = contents
        balance = contents.balance
        dailyUsed = contents.dailyUsed
        monthlyUsed = contents.monthlyUsed
        running = Int64(contents.holds.count)
        holders = Set(
            contents.holds.compactMap { hold in
                TraceID(hold.trace).flatMap { StoredHold(trace: $0, stored: hold.hold)?.key }
            })
        requests = minute?.requests ?? 0
        tokens = minute?.tokens ?? 0
        secondsLeft = minute?.secondsLeft ?? 0
        for spent in contents.budgets {
            guard let limit = spent.budget.limit else { continue }
            budgets[spent.key] = Budget(limit: limit, period: spent.budget.period, used: spent.used)
        }
    }

    /// Takes a hold, all or nothing.
    ///
    /// It counts in the image's day, which is the latest of those that the batch and the ledger have. Its number is 0: what is
    /// numbered is the order of holds in an image that lasts.
    package mutating func take(_ order: HoldOrder) -> DeductReply {
        let budget = order.key.flatMap { budgets[$0] }
        var amount = order.amount
        if let refusal = refusal(of: order, budget) {
            guard refusal.limit == .budget || refusal.limit == .balance, order.least < order.amount else {
                return .refused(refusal)
            }
            switch lowered(order, budget, refusal) {
            case .to(let left): amount = left
            case .not(let refusal): return .refused(refusal)
            }
        }
        let before = balance
        balance = balance - amount
        holders.insert(order.key?.description ?? "")
        dailyUsed += 1
        monthlyUsed += 1
        running += 1
        requests += 1
        tokens += order.tokens
        var held = HeldAmount(
            epoch: contents.epoch, rseq: 0, balanceBefore: before, balanceAfter: balance,
            dailyUsed: dailyUsed, monthlyUsed: monthlyUsed, dailyQuota: limits.dailyQuota,
            monthlyQuota: limits.monthlyQuota, limitsVersion: limits.version, period: contents.period)
        if hasRates {
            held.minute = MinuteUse(
                requestsLimit: limits.requestsPerMinute, requests: requests,
                tokensLimit: limits.tokensPerMinute, tokens: tokens, secondsLeft: secondsLeft)
        }
        if var budget, let key = order.key {
            budget.used = budget.used + amount
            budgets[key] = budget
            held.budget = BudgetUse(limit: budget.limit, used: budget.used)
        }
        return .held(held)
    }

    private enum Lowered {
        case to(Money)
        case not(QuotaRefusal)
    }

    /// All that is left for an order, if it can do with that and nobody can give any back.
    private func lowered(
        _ order: HoldOrder, _ budget: Budget?, _ refusal: QuotaRefusal
    ) -> Lowered {
        var left = order.amount
        if let budget, left > budget.limit - budget.used {
            left = budget.limit - budget.used
            guard left >= order.least, !holders.contains(order.key?.description ?? "") else {
                return .not(refusal)
            }
        }
        let ofBalance = balance + limits.creditLimit
        guard left > ofBalance else { return .to(left) }
        guard ofBalance >= order.least, running == 0 else { return .not(self.refusal(ofBalanceTo: order)) }
        return .to(ofBalance)
    }

    /// Raises a hold towards an amount, as far as there is money; nil when there is none, or no such hold.
    ///
    /// - Returns: What it holds then in all.
    package mutating func raise(_ trace: TraceID, to amount: Money) -> Money? {
        let stored = contents.holds.first { $0.trace == trace.description }
        guard let stored, let hold = StoredHold(trace: trace, stored: stored.hold) else { return nil }
        guard amount > hold.amount else { return hold.amount }
        var most = balance + limits.creditLimit
        let key = APIKeyID(hold.key)
        if let key, let budget = budgets[key], hold.counts(in: budget.period, of: contents.period) {
            most = min(most, budget.limit - budget.used)
        }
        let more = min(amount - hold.amount, most)
        guard more > .zero else { return nil }
        balance = balance - more
        return hold.amount + more
    }

    private var hasRates: Bool {
        limits.requestsPerMinute != nil || limits.tokensPerMinute != nil
    }

    /// The first limit that refuses an order, in the script's order of them; nil when none does.
    private func refusal(of order: HoldOrder, _ budget: Budget?) -> QuotaRefusal? {
        if let quota = limits.dailyQuota, dailyUsed >= quota {
            return refusal(.dailyQuota, quota, used: dailyUsed, .day)
        }
        if let quota = limits.monthlyQuota, monthlyUsed >= quota {
            return refusal(.monthlyQuota, quota, used: monthlyUsed, .month)
        }
        if let limit = limits.requestsPerMinute, requests >= limit {
            return refusal(.requestsPerMinute, limit, used: requests, .seconds(secondsLeft))
        }
        if let limit = limits.tokensPerMinute, tokens + order.tokens > limit {
            return refusal(.tokensPerMinute, limit, used: tokens, .seconds(secondsLeft))
        }
        if let limit = limits.concurrency, running >= limit {
            return refusal(.concurrency, limit, used: running, .never)
        }
        if let budget, order.amount > budget.limit - budget.used {
            let reset: QuotaReset =
                switch budget.period {
                case .day: .day
                case .month: .month
                case .total: .never
                }
            return refusal(.budget, budget.limit.nanodollars, used: budget.used.nanodollars, reset)
        }
        if balance - order.amount + limits.creditLimit < .zero { return refusal(ofBalanceTo: order) }
        return nil
    }

    private func refusal(ofBalanceTo order: HoldOrder) -> QuotaRefusal {
        refusal(.balance, limits.creditLimit.nanodollars, used: order.amount.nanodollars, .never)
    }

    private func refusal(
        _ limit: QuotaLimit, _ value: Int64, used: Int64, _ reset: QuotaReset
    ) -> QuotaRefusal {
        QuotaRefusal(
            limit: limit, epoch: contents.epoch, creditSequence: contents.creditSequence,
            limitsVersion: limits.version, balance: balance, limitValue: value, used: used, reset: reset)
    }
}

extension StoredHold {
    /// Whether the hold counts in a budget of a period, as it is at a day.
    fileprivate func counts(in budget: BudgetPeriod, of current: Period) -> Bool {
        switch budget {
        case .total: true
        case .day: period.day == current.day
        case .month: period.month == current.month
        }
    }
}
