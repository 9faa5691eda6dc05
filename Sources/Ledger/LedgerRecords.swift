package import Core

/// A hold that becomes a durable row before any provider is called.
package struct PendingRow: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// With which API key.
    package let key: APIKeyID?
    /// The tenant's epoch in which the hold was taken.
    package let epoch: Int64
    /// The hold's number in that epoch.
    package let rseq: Int64
    /// The day and month it counts in.
    package let period: Period
    /// The amount held.
    package let hold: Money
    /// The version of the limits that admitted it.
    package let limitsVersion: Int64
    /// The balance before the hold was taken.
    package let balanceBefore: Money
    /// The balance with the hold taken.
    package let balanceAfter: Money
    /// How long the request may take at most.
    package let deadlineMilliseconds: Int64
    /// What was asked for, `chat` for instance.
    package let capability: String
    /// The model as the client named it.
    package let model: String
    /// Whether the answer is a stream.
    package let isStream: Bool
    /// The claim without which the row is not inserted either; it needs an API key.
    package var claim: IdempotencyClaim?

    /// Creates a pending row.
    package init(
        tenant: TenantID, trace: TraceID, key: APIKeyID?, epoch: Int64, rseq: Int64, period: Period,
        hold: Money,
        limitsVersion: Int64, balanceBefore: Money, balanceAfter: Money, deadlineMilliseconds: Int64,
        capability: String, model: String, isStream: Bool
    ) {
        self.tenant = tenant
        self.trace = trace
        self.key = key
        self.epoch = epoch
        self.rseq = rseq
        self.period = period
        self.hold = hold
        self.limitsVersion = limitsVersion
        self.balanceBefore = balanceBefore
        self.balanceAfter = balanceAfter
        self.deadlineMilliseconds = deadlineMilliseconds
        self.capability = capability
        self.model = model
        self.isStream = isStream
    }
}

/// More money for a hold whose row is pending.
package struct HoldRaise: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The epoch of the image that took the money.
    package let epoch: Int64
    /// What is held in all.
    package let amount: Money

    /// Creates a raise.
    package init(tenant: TenantID, trace: TraceID, epoch: Int64, amount: Money) {
        self.tenant = tenant
        self.trace = trace
        self.epoch = epoch
        self.amount = amount
    }
}

/// The states of a billing transaction.
package enum TransactionStatus: String, Sendable {
    case pending
    case committed
    case voided
}

/// How a pending row ends.
package struct RowSettlement: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// Committed or voided.
    package var status: TransactionStatus
    /// What is charged; zero when voided.
    package var charge: Money = .zero
    /// What the answer cost beyond its hold: paid by the house.
    package var overrun: Money = .zero
    /// The price the charge was computed with.
    package var priceVersion: Int64?
    /// The tokens the charge was computed from.
    package var usage = Usage()
    /// How the tokens are known.
    package var usageSource: UsageSource?
    /// Who answered.
    package var provider: String?
    /// The catalogue's number for the provider model that answered.
    package var providerModelID: Int64?
    /// What the provider calls the model.
    package var upstreamModel: String?
    /// Whether the request failed.
    package var isError = false
    /// The machine code of the failure.
    package var errorCode: String?
    /// Whether the stream reached its regular end.
    package var streamCompleted = false
    /// Who ended the stream early.
    package var interruptedBy: String?
    /// From the first byte of the request to the settlement.
    package var latencyMilliseconds: Int64?
    /// Whether a stream checkpoint was written that is not needed any more.
    package var hasCheckpoint = false
    /// The answer that is kept together with the charge.
    package var answer: StoredAnswer?
    /// What is to be done once this end is committed.
    package internal(set) var tasks: [AfterCommitTask] = []

    /// Creates the end of a row; the rest is set by name.
    package init(tenant: TenantID, trace: TraceID, status: TransactionStatus) {
        self.tenant = tenant
        self.trace = trace
        self.status = status
    }
}

/// What stands in the ledger under a trace.
package struct StandingRow: Sendable, Hashable {
    /// Which request.
    package let trace: TraceID
    /// Its state.
    package let status: TransactionStatus
    /// The epoch of its hold.
    package let epoch: Int64
    /// The number of its hold.
    package let rseq: Int64
    /// The amount held.
    package let hold: Money
    /// The amount charged.
    package let charge: Money
    /// The process that inserted it.
    package let owner: String
}

/// What is current of a tenant in the ledger; an image that says less is stale.
package struct TenantStanding: Sendable, Hashable {
    /// The epoch.
    package let epoch: Int64
    /// The number of the last credit.
    package let creditSequence: Int64
    /// The version of the limits.
    package let limitsVersion: Int64

    /// Creates what is current, or what an image knows.
    package init(epoch: Int64, creditSequence: Int64, limitsVersion: Int64) {
        self.epoch = epoch
        self.creditSequence = creditSequence
        self.limitsVersion = limitsVersion
    }
}

/// All that a tenant's image in Redis is made of, as of one moment.
package struct TenantSnapshot: Sendable {
    /// The tenant's limits.
    package let limits: TenantLimits
    /// What is current.
    package let standing: TenantStanding
    /// Credits − charges − pending holds.
    package let balance: Money
    /// The day and month that the counts are of: the one asked for, or a later one that has requests already.
    package let period: Period
    /// Requests that count in that day.
    package let dailyUsed: Int64
    /// Requests that count in that month.
    package let monthlyUsed: Int64
    /// The budgets of API keys that have one or had one.
    package let budgets: [SpentBudget]
    /// Pending holds: the trace, and the hold as the image stores it.
    package let holds: [(trace: String, hold: String)]
}

/// An API key's budget and what is gone of it.
package struct SpentBudget: Sendable, Hashable {
    /// The API key.
    package let key: APIKeyID
    /// The budget.
    package let budget: KeyBudget
    /// Charges and pending holds of its period: of the snapshot's day or month, or all.
    package let used: Money
}

/// What running streams have delivered, for the sweeper of a process that died.
package struct StreamCheckpoint: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// Who answers.
    package let providerModelID: Int64
    /// The price in force for it.
    package let priceVersion: Int64
    /// Prompt tokens so far.
    package let inputTokens: Int64
    /// Answer tokens so far.
    package let outputTokens: Int64
    /// How they are known.
    package let source: UsageSource

    /// Creates a checkpoint.
    package init(
        tenant: TenantID, trace: TraceID, providerModelID: Int64, priceVersion: Int64, inputTokens: Int64,
        outputTokens: Int64, source: UsageSource
    ) {
        self.tenant = tenant
        self.trace = trace
        self.providerModelID = providerModelID
        self.priceVersion = priceVersion
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.source = source
    }
}
