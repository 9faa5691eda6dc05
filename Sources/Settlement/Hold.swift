package import Core
package import Ledger
package import Quota

/// What a request asks of the settlement: the hold, and what the ledger's row says of the request.
package struct ReserveOrder: Sendable {
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
    /// The day and month it counts in, in the tenant's time zone.
    package let period: Period
    /// How long the request may take at most.
    package let deadlineMilliseconds: Int64
    /// What is asked for, `chat` for instance.
    package let capability: String
    /// The model as the client named it.
    package let model: String
    /// Whether the answer is a stream.
    package let isStream: Bool
    /// The tokens it is believed to take.
    package let tokens: Int64
    /// Whether the API key has a budget, or had one, as far as the caller knows.
    package let hasBudget: Bool
    /// The version of the tenant's limits that the caller knows.
    package let limitsVersion: Int64
    /// The claim without which it is not admitted.
    package let claim: IdempotencyClaim?

    /// Creates an order.
    package init(
        tenant: TenantID, trace: TraceID, key: APIKeyID?, amount: Money, least: Money? = nil, period: Period,
        deadlineMilliseconds: Int64, capability: String, model: String, isStream: Bool, tokens: Int64 = 0,
        hasBudget: Bool = false, limitsVersion: Int64 = 0, claim: IdempotencyClaim? = nil
    ) {
        precondition(claim == nil || key != nil, "an idempotency key belongs to an API key")
        self.claim = claim
        self.least = min(least ?? amount, amount)
        self.tokens = tokens
        self.hasBudget = hasBudget
        self.limitsVersion = limitsVersion
        self.tenant = tenant
        self.trace = trace
        self.key = key
        self.amount = amount
        self.period = period
        self.deadlineMilliseconds = deadlineMilliseconds
        self.capability = capability
        self.model = model
        self.isStream = isStream
    }
}

/// Money that is taken and durable: it must be settled or voided, exactly once.
package struct Hold: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The amount.
    package let amount: Money
    /// How the tenant's image stood when it was taken.
    package let held: HeldAmount
    /// With which API key.
    package let key: APIKeyID?

    /// Creates a hold that is taken and durable.
    package init(tenant: TenantID, trace: TraceID, amount: Money, held: HeldAmount, key: APIKeyID? = nil) {
        self.tenant = tenant
        self.trace = trace
        self.amount = amount
        self.held = held
        self.key = key
    }

    /// The same hold, raised.
    func raised(to amount: Money) -> Hold {
        Hold(tenant: tenant, trace: trace, amount: amount, held: held, key: key)
    }
}

/// How a charge ended.
package struct Settled: Sendable {
    /// What was charged: what the ledger's row says.
    package let charge: Money
    /// The tenant's balance afterwards; nil when the image could not be told yet.
    package let balance: Money?
}
