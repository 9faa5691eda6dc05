import Core

@testable import Quota

/// What the scripts must do to an image, one order after another, in whole numbers that never overflow.
struct QuotaOracle {
    /// An API key's budget.
    struct Budget {
        let limit: Int64
        var used: Int64
        /// `total`, or the day or month that is counted.
        var period: String
    }

    private struct Stored {
        let order: HoldOrder
        let amount: Int64
        let rseq: Int64
        let period: Period
        let minute: Int64
    }

    private let creditLimit: Int64
    private let quotas: (daily: Int64?, monthly: Int64?)
    private let rates: ImageBench.Rates
    private(set) var budgets: [String: Budget] = [:]
    private var balance: Int64
    private var credits: Int64 = 0
    private var latest = Period(day: ImageBench.today)
    private var used: (daily: Int64, monthly: Int64) = (0, 0)
    private var window: (minute: Int64, requests: Int64, tokens: Int64) = (0, 0, 0)
    private var version: Int64 = 0
    private var holds: [TraceID: Stored] = [:]

    init(
        balance: Int64, creditLimit: Int64, dailyQuota: Int64?, monthlyQuota: Int64?, rates: ImageBench.Rates,
        budgets: [BudgetContents]
    ) {
        self.balance = balance
        self.creditLimit = creditLimit
        quotas = (dailyQuota, monthlyQuota)
        self.rates = rates
        for contents in budgets {
            guard let limit = contents.budget.limit else { continue }
            let period = QuotaOracle.period(contents.budget.period, latest)
            self.budgets[contents.key.description] = Budget(
                limit: limit.nanodollars, used: contents.used.nanodollars, period: period)
        }
    }

    var hasRates: Bool { rates.requests != nil || rates.tokens != nil || rates.concurrency != nil }

    /// Fields of the tenant's hash as they must be.
    var fields: [String: String] {
        [
            "balance": "\(balance)", "daily_used": "\(used.daily)", "daily_date": "\(latest.day)",
            "monthly_used": "\(used.monthly)", "monthly_month": "\(latest.month)", "ver": "\(version)",
            "minute": "\(window.minute)", "minute_requests": "\(window.requests)",
            "minute_tokens": "\(window.tokens)",
        ]
    }

    private static func period(_ kind: BudgetPeriod, _ period: Period) -> String {
        switch kind {
        case .total: "total"
        case .day: "\(period.day)"
        case .month: "\(period.month)"
        }
    }

    mutating func credit(_ amount: Int64) {
        balance += amount
        credits += 1
    }

    mutating func endMinute() { window.minute -= 1 }

    mutating func deduct(_ order: HoldOrder, minute: Int64) -> DeductReply {
        var amount = order.amount.nanodollars
        if let stored = holds[order.trace] {
            guard (order.least.nanodollars...amount).contains(stored.amount), stored.order.key == order.key
            else { return .conflict }
            return .held(
                reply(
                    rseq: stored.rseq, before: balance + stored.amount, stored.period, of: order.key,
                    minute: minute))
        }
        let period = order.period.day < latest.day ? latest : order.period
        let now = (
            daily: period.day == latest.day ? used.daily : 0,
            monthly: period.month == latest.month ? used.monthly : 0
        )
        let requests = minute == window.minute ? window.requests : 0
        let tokens = minute == window.minute ? window.tokens : 0
        var budget = order.key.flatMap { budgets[$0.description] }
        if let known = budget, known.period != "total" {
            let current = known.period.count == 8 ? "\(period.day)" : "\(period.month)"
            if current != known.period { budget = Budget(limit: known.limit, used: 0, period: current) }
        }
        if let refusal = refusal(order, now, requests, tokens, budget) {
            let judged = lowered(order, refusal, budget)
            guard let left = judged.amount else { return .refused(judged.refusal) }
            amount = left
        }
        latest = period
        used = (now.daily + 1, now.monthly + 1)
        version += 1
        balance -= amount
        if hasRates { window = (minute, requests + 1, tokens + order.tokens) }
        if var budget, let key = order.key {
            budget.used += amount
            budgets[key.description] = budget
        }
        holds[order.trace] = Stored(
            order: order, amount: amount, rseq: version, period: period,
            minute: rates.tokens == nil ? 0 : minute)
        return .held(
            reply(rseq: version, before: balance + amount, period, of: order.key, minute: minute))
    }

    private func reply(
        rseq: Int64, before: Int64, _ period: Period, of key: APIKeyID?, minute: Int64
    ) -> HeldAmount {
        var held = HeldAmount(
            epoch: 1, rseq: rseq, balanceBefore: .nano(before), balanceAfter: .nano(balance),
            dailyUsed: used.daily, monthlyUsed: used.monthly, dailyQuota: quotas.daily,
            monthlyQuota: quotas.monthly, limitsVersion: 1, period: period)
        if rates.requests != nil || rates.tokens != nil {
            let isNow = window.minute == minute
            held.minute = MinuteUse(
                requestsLimit: rates.requests, requests: isNow ? window.requests : 0,
                tokensLimit: rates.tokens, tokens: isNow ? window.tokens : 0, secondsLeft: 0)
        }
        held.budget = key.flatMap { budgets[$0.description] }.map {
            BudgetUse(limit: .nano($0.limit), used: .nano($0.used))
        }
        return held
    }

    /// All that is left, if the order can do with it and no hold can give any back; else why not.
    private func lowered(
        _ order: HoldOrder, _ refusal: QuotaRefusal, _ budget: Budget?
    ) -> (amount: Int64?, refusal: QuotaRefusal) {
        let (least, ofBalance) = (order.least.nanodollars, balance + creditLimit)
        guard refusal.limit == .balance || refusal.limit == .budget, order.least < order.amount else {
            return (nil, refusal)
        }
        var left = order.amount.nanodollars
        if let budget, left > budget.limit - budget.used {
            left = budget.limit - budget.used
            let hasHolds = holds.values.contains { $0.order.key == order.key }
            guard left >= least, !hasHolds else { return (nil, refusal) }
        }
        guard left > ofBalance else { return (left, refusal) }
        let ofAll = QuotaRefusal(
            limit: .balance, epoch: 1, creditSequence: credits, limitsVersion: 1, balance: .nano(balance),
            limitValue: creditLimit, used: order.amount.nanodollars, reset: .never)
        return (ofBalance >= least && holds.isEmpty ? ofBalance : nil, ofAll)
    }

    private func refusal(
        _ order: HoldOrder, _ now: (daily: Int64, monthly: Int64), _ requests: Int64, _ tokens: Int64,
        _ budget: Budget?
    ) -> QuotaRefusal? {
        let amount = order.amount.nanodollars
        func refused(_ limit: QuotaLimit, _ value: Int64, _ used: Int64, _ reset: QuotaReset) -> QuotaRefusal
        {
            QuotaRefusal(
                limit: limit, epoch: 1, creditSequence: credits, limitsVersion: 1, balance: .nano(balance),
                limitValue: value, used: used, reset: reset)
        }
        if let quota = quotas.daily, now.daily >= quota {
            return refused(.dailyQuota, quota, now.daily, .day)
        }
        if let quota = quotas.monthly, now.monthly >= quota {
            return refused(.monthlyQuota, quota, now.monthly, .month)
        }
        if let rate = rates.requests, requests >= rate {
            return refused(.requestsPerMinute, rate, requests, .seconds(0))
        }
        if let rate = rates.tokens, tokens + order.tokens > rate {
            return refused(.tokensPerMinute, rate, tokens, .seconds(0))
        }
        if let most = rates.concurrency, holds.count >= most {
            return refused(.concurrency, most, Int64(holds.count), .never)
        }
        if let budget, budget.used + amount > budget.limit {
            let reset: QuotaReset =
                switch budget.period.count {
                case 8: .day
                case 6: .month
                default: .never
                }
            return refused(.budget, budget.limit, budget.used, reset)
        }
        if balance - amount < -creditLimit { return refused(.balance, creditLimit, amount, .never) }
        return nil
    }

    mutating func settle(_ settlement: HoldSettlement) -> SettleReply {
        guard let stored = holds[settlement.trace], stored.rseq == settlement.rseq, settlement.epoch == 1
        else { return .gone(balance: .nano(balance)) }
        holds[settlement.trace] = nil
        let rest = stored.amount - settlement.charge.nanodollars
        balance += rest
        if settlement.isVoided {
            if stored.period.day == latest.day { used.daily -= 1 }
            if stored.period.month == latest.month { used.monthly -= 1 }
        }
        if stored.minute != 0, stored.minute == window.minute {
            window.tokens += (settlement.isVoided ? 0 : settlement.tokens) - stored.order.tokens
        }
        if let key = stored.order.key?.description, let period = budgets[key]?.period,
            ["total", "\(stored.period.day)", "\(stored.period.month)"].contains(period)
        {
            budgets[key]?.used -= rest
        }
        return .settled(balance: .nano(balance))
    }
}

extension DeductReply {
    /// The reply as it would be at the very end of a minute: what remains after comparing two moments.
    var withoutSeconds: DeductReply {
        switch self {
        case .held(var held):
            held.minute = held.minute.map {
                MinuteUse(
                    requestsLimit: $0.requestsLimit, requests: $0.requests, tokensLimit: $0.tokensLimit,
                    tokens: $0.tokens, secondsLeft: 0)
            }
            return .held(held)
        case .refused(var refusal):
            if case .seconds = refusal.reset { refusal.reset = .seconds(0) }
            return .refused(refusal)
        case .missing, .stale, .late, .conflict: return self
        }
    }
}
