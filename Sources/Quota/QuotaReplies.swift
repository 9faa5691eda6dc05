package import Core

/// A request for a hold.
package struct HoldOrder: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// With which API key.
    package let key: APIKeyID?
    /// The most it can cost.
    package let amount: Money
    /// What it can do with, where there is no more and nothing held that could become more; not above the amount.
    package let least: Money
    /// The day and month it counts in.
    package let period: Period
    /// The tokens it is believed to take, for the limit of a minute.
    package let tokens: Int64
    /// Whether the API key has a budget, or had one, as far as the caller knows.
    package let hasBudget: Bool
    /// The version of the tenant's limits that the caller knows: an image with older ones is stale.
    package let limitsVersion: Int64

    /// The most tokens that an order may name.
    package static let tokensMax: Int64 = 1_000_000_000_000

    /// Creates an order.
    ///
    /// Its amount must be one that may be held: a script takes the holds of many, and must not fail on its way.
    package init(
        tenant: TenantID, trace: TraceID, key: APIKeyID?, amount: Money, least: Money? = nil, period: Period,
        tokens: Int64 = 0, hasBudget: Bool = false, limitsVersion: Int64 = 0
    ) {
        precondition(amount >= .zero && amount <= .holdLimit, "not an amount to hold")
        self.tokens = min(max(0, tokens), HoldOrder.tokensMax)
        self.hasBudget = hasBudget
        self.limitsVersion = limitsVersion
        self.tenant = tenant
        self.trace = trace
        self.key = key
        self.amount = amount
        self.least = min(max(.zero, least ?? amount), amount)
        self.period = period
    }
}

/// A hold in an image that its row in the ledger has ended.
package struct HoldSettlement: Sendable {
    /// Whose image.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The epoch in which the hold was taken.
    package let epoch: Int64
    /// The hold's number in that epoch.
    package let rseq: Int64
    /// What the ledger's row charged.
    package let charge: Money
    /// Whether the row was voided: the request then counts neither in its day nor in its month.
    package let isVoided: Bool
    /// The tokens it took.
    package let tokens: Int64

    /// Creates what is left to do.
    package init(
        tenant: TenantID, trace: TraceID, epoch: Int64, rseq: Int64, charge: Money, isVoided: Bool,
        tokens: Int64 = 0
    ) {
        self.tokens = min(max(0, tokens), HoldOrder.tokensMax)
        self.tenant = tenant
        self.trace = trace
        self.epoch = epoch
        self.rseq = rseq
        self.charge = charge
        self.isVoided = isVoided
    }
}

/// A hold as the tenant's image has it, and what the image showed when it was taken.
package struct HeldAmount: Sendable, Hashable {
    /// The tenant's epoch.
    package let epoch: Int64
    /// The hold's number in that epoch.
    package let rseq: Int64
    /// The balance before.
    package let balanceBefore: Money
    /// The balance with the hold taken.
    package let balanceAfter: Money
    /// Requests of the day, this one included.
    package let dailyUsed: Int64
    /// Requests of the month, this one included.
    package let monthlyUsed: Int64
    /// The day's quota; nil means no limit.
    package let dailyQuota: Int64?
    /// The month's quota; nil means no limit.
    package let monthlyQuota: Int64?
    /// The version of the limits that admitted it.
    package let limitsVersion: Int64
    /// The day and month it counts in.
    package let period: Period
    /// How the limits of a minute stand, this hold included; nil when the tenant has none.
    package var minute: MinuteUse?
    /// How the API key's budget stands, this hold included; nil when it has none.
    package var budget: BudgetUse?

    /// What is held: less than was asked for where that was all.
    package var amount: Money { balanceBefore - balanceAfter }
}

/// How a tenant's limits of a minute stand.
package struct MinuteUse: Sendable, Hashable {
    /// Requests a minute; nil means no limit.
    package let requestsLimit: Int64?
    /// Requests of this minute.
    package let requests: Int64
    /// Tokens a minute; nil means no limit.
    package let tokensLimit: Int64?
    /// Tokens of this minute, those of running requests as they were estimated.
    package let tokens: Int64
    /// Seconds until the next minute, by Redis' clock.
    package let secondsLeft: Int64
}

/// How an API key's budget stands.
package struct BudgetUse: Sendable, Hashable {
    /// The most it may spend in its period.
    package let limit: Money
    /// What it has spent, and what is held.
    package let used: Money
}

/// Which limit refused a hold.
package enum QuotaLimit: String, Sendable {
    case balance = "INSUFFICIENT_BALANCE"
    case budget = "BUDGET_EXCEEDED"
    case dailyQuota = "DAILY_QUOTA_EXCEEDED"
    case monthlyQuota = "MONTHLY_QUOTA_EXCEEDED"
    case requestsPerMinute = "RATE_LIMIT_RPM"
    case tokensPerMinute = "RATE_LIMIT_TPM"
    case concurrency = "CONCURRENCY_EXCEEDED"

    /// Whether it passes by itself within a minute.
    package var isRate: Bool {
        switch self {
        case .requestsPerMinute, .tokensPerMinute, .concurrency: true
        case .balance, .budget, .dailyQuota, .monthlyQuota: false
        }
    }
}

/// When what was used of a limit is forgotten.
package enum QuotaReset: Sendable, Hashable {
    /// Not by time.
    case never
    /// With the tenant's day.
    case day
    /// With the tenant's month.
    case month
    /// In so many seconds.
    case seconds(Int64)
}

/// A refusal, with what the image showed.
package struct QuotaRefusal: Sendable, Hashable {
    /// Which limit.
    package let limit: QuotaLimit
    /// The image's epoch.
    package let epoch: Int64
    /// The last credit the image knows.
    package let creditSequence: Int64
    /// The limits version the image knows.
    package let limitsVersion: Int64
    /// The balance.
    package let balance: Money
    /// The limit: a count of requests or tokens, or nano-dollars of credit or budget.
    package let limitValue: Int64
    /// What was used of it; of the balance, what was asked for.
    package let used: Int64
    /// When that is forgotten.
    package var reset = QuotaReset.never
}

/// What came of asking for a hold.
package enum DeductReply: Sendable, Equatable {
    /// It is held; also when the same order had been carried out before.
    case held(HeldAmount)
    /// There is no valid image of the tenant.
    case missing
    /// The image has older limits than the caller knows of; nothing was done.
    case stale
    /// The command reached Redis after its caller had given up; nothing was done.
    case late
    /// The trace holds something else.
    case conflict
    /// A limit refused it; nothing was taken.
    case refused(QuotaRefusal)
}

/// What came of settling a hold in the image.
package enum SettleReply: Sendable, Equatable {
    /// Given back what was not charged.
    case settled(balance: Money)
    /// No such hold: settled before, or never taken.
    case gone(balance: Money)
    /// There is no valid image; its rebuild will read the settled row.
    case missing
}

/// What came of asking for the lease on rebuilding an image.
package enum LeaseReply: Sendable, Equatable {
    /// A valid image stands.
    case warm
    /// The lease is the caller's; the epoch is the one of the old image, 0 without one.
    case taken(epochSeen: Int64)
    /// Another rebuilds.
    case busy
}

/// What came of installing an image.
package enum InstallReply: Sendable, Equatable {
    case installed
    /// The lease went to another.
    case lost
    /// An image of this or a later epoch stands.
    case newer
}

/// What came of adding a credit to the image.
package enum CreditReply: Sendable, Equatable {
    case applied(balance: Money)
    /// Applied before.
    case done(balance: Money)
    /// The image lacks earlier credits; it knows those up to this number.
    case gap(known: Int64)
    /// There is no valid image.
    case missing
}

/// A hold as stored in Redis.
package struct StoredHold: Sendable, Hashable {
    /// Which request.
    package let trace: TraceID
    /// The amount.
    package let amount: Money
    /// The epoch it was taken in.
    package let epoch: Int64
    /// Its number in that epoch.
    package let rseq: Int64
    /// The API key; empty for none.
    package let key: String
    /// The day and month it counts in.
    package let period: Period

    /// Reads `amount|epoch|rseq|key|day|month|minute|tpm`; nil when it is not of that form.
    package init?(trace: TraceID, stored: String) {
        let parts = stored.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count >= 6, let amount = Int64(parts[0]), let epoch = Int64(parts[1]),
            let rseq = Int64(parts[2]), let day = Int32(parts[4])
        else { return nil }
        self.trace = trace
        self.amount = Money(nanodollars: amount)
        self.epoch = epoch
        self.rseq = rseq
        key = String(parts[3])
        period = Period(day: day)
    }
}
