package import Core
package import Dialects
package import Ledger
import Quota
package import Settlement

/// The sections of all steps; each is nil until its step has run.
package struct ContextSections: Sendable {
    var validation: ValidationSection?
    var externalAuth: ExternalAuthSection?
    var idempotency: IdempotencySection?
    var routing: RoutingSection?
    var quotaCheck: QuotaCheckSection?
    var templateRender: TemplateRenderSection?
    var upstreamCall: UpstreamCallSection?
    var responseTransform: ResponseTransformSection?
    var billing: BillingSection?

    /// All namespaces of the string view.
    ///
    /// A section that is not named here is invisible to it.
    static let namespaces: [ContextNamespace] = [
        ContextNamespace(\.validation), ContextNamespace(\.externalAuth), ContextNamespace(\.idempotency),
        ContextNamespace(\.routing), ContextNamespace(\.quotaCheck), ContextNamespace(\.templateRender),
        ContextNamespace(\.upstreamCall), ContextNamespace(\.responseTransform), ContextNamespace(\.billing),
    ]
}

/// What `validation` leaves: the request, read and bounded.
package struct ValidationSection: ContextSection {
    package static let namespace = Validation.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "request") { .text(String(decoding: $0.request.body, as: UTF8.self)) },
        ContextField(derived: "validated") { _ in .flag(true) },
        ContextField(derived: "model") { .text($0.request.model) },
        ContextField(derived: "stream") { .flag($0.request.stream) },
    ]

    /// The client's request.
    package var request: ChatRequest
}

/// What `external_auth` leaves: who is calling.
package struct ExternalAuthSection: ContextSection {
    package static let namespace = ExternalAuth.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "tenant") { .text($0.caller.tenant.id.description) },
        ContextField(derived: "api_key") { .text($0.caller.key.id.description) },
        ContextField("budget_limit", \.budgetLimit), ContextField("budget_used", \.budgetUsed),
        ContextField(derived: "allowed_models") { section in
            section.caller.key.allowedModels.map { .list($0.sorted()) } ?? .none
        },
        ContextField("scopes", \.scopes),
    ]

    /// The tenant and the API key.
    package var caller: Caller
    /// The key's money limit; nil means none.
    package var budgetLimit: Money?
    /// What the key has used of it.
    package var budgetUsed: Money?
    /// What the key may do.
    package var scopes: [String] = ["inference"]
}

/// What `idempotency` leaves: whether the request may be sent again, and whether it was.
package struct IdempotencySection: ContextSection {
    package static let namespace = Idempotency.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "key") { section in section.claim.map { .text($0.key) } ?? .none },
        ContextField(derived: "replayed") { section in
            section.replayed.map { .text($0.trace.description) } ?? .none
        },
    ]

    /// The claim to be the one that is run under its key; nil without a key.
    package var claim: IdempotencyClaim?
    /// The answer of an earlier request, which is this one's too.
    package var replayed: ReplayedAnswer?
}

/// What `routing` leaves: who may serve the request, and who does.
package struct RoutingSection: ContextSection {
    package static let namespace = RoutingStep.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "provider_model_id") { .integer($0.selected.id) },
        ContextField(derived: "provider") { .text($0.selected.provider.name) },
        ContextField(derived: "upstream_model") { .text($0.selected.upstreamModel) },
        ContextField(derived: "pricing_config") { section in
            section.selected.price.map { .integer($0.version) } ?? .none
        },
        ContextField("affinity_state", \.affinityState),
    ]

    /// Those that may serve it, in the order in which they are tried.
    ///
    /// Never empty; all are priced.
    package var candidates: [ProviderModel]
    /// The one that is being tried, or has answered.
    package var selectedIndex = 0
    /// How this session's requests are kept on one provider model.
    package var affinityState = "NONE"

    /// The candidate that is being tried, or has answered.
    package var selected: ProviderModel { candidates[selectedIndex] }
}

/// What `quota_check` leaves: the money that is taken.
package struct QuotaCheckSection: ContextSection {
    package static let namespace = QuotaCheck.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "balance_before") { .money($0.hold.held.balanceBefore) },
        ContextField(derived: "balance_after") { .money($0.hold.held.balanceAfter) },
        ContextField(derived: "daily_used") { .integer($0.hold.held.dailyUsed) },
        ContextField(derived: "monthly_used") { .integer($0.hold.held.monthlyUsed) },
        ContextField(derived: "estimated_cost") { .money($0.hold.amount) },
        ContextField(derived: "remaining_balance") { .money($0.hold.held.balanceAfter) },
        ContextField(derived: "daily_remaining") { section in
            section.hold.held.dailyQuota.map { .integer(max(0, $0 - section.hold.held.dailyUsed)) } ?? .none
        },
        ContextField(derived: "monthly_remaining") { section in
            section.hold.held.monthlyQuota.map { .integer(max(0, $0 - section.hold.held.monthlyUsed)) }
                ?? .none
        },
    ]

    /// The hold.
    package var hold: Hold
    /// The most answer tokens that the hold pays for; sent to the provider as its limit.
    package var outputCap: Int64
    /// The limits it was admitted under, as its client is told of them.
    package var limits: [LimitReport] = []
    /// Whether the hold has been handed to settlement: from then on it is nobody else's to end.
    package var isEnded = false

    /// How the tenant's balance stood before the hold was taken.
    package var balanceBefore: Money { hold.held.balanceBefore }
}

/// What `template_render` leaves: the provider's request.
package struct TemplateRenderSection: ContextSection {
    package static let namespace = TemplateRender.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "body_bytes") { section in
            .integer(Int64(section.bodies.values.first?.count ?? 0))
        }
    ]

    /// The body for each candidate, by its number.
    package var bodies: [Int64: [UInt8]]
}

/// What `upstream_call` leaves beside the transfer itself, which the context owns.
package struct UpstreamCallSection: ContextSection {
    package static let namespace = UpstreamCall.name
    package static let fields: [ContextField<Self>] = [
        ContextField("stream", \.isStream), ContextField("status_code", \.statusCode),
        ContextField("attempts", \.attempts),
    ]

    /// Whether the provider streams its answer.
    package var isStream: Bool
    /// The provider's status.
    package var statusCode: Int64
    /// How many candidates were called.
    package var attempts: Int64
}

/// How an answer ended.
package enum AnswerOutcome: Sendable, Equatable {
    /// The provider finished it.
    case complete
    /// Somebody ended it early.
    case interrupted(by: Interruption)
}

/// Who ended an answer early.
package enum Interruption: String, Sendable {
    case client
    case provider
    case shutdown
    /// The tenant, whose money is gone: the answer ends as if its output cap were reached.
    case money
    /// This gateway, whose lease on its rows could not be renewed.
    case lease
    /// This gateway, which cannot find out whether there is money for more.
    case gateway
}

/// What `response_transform` leaves: what was delivered and what it used.
package struct ResponseTransformSection: ContextSection {
    package static let namespace = ResponseTransform.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "outcome") { section in
            switch section.outcome {
            case .complete: .text("complete")
            case .interrupted(let by): .text("interrupted_by_\(by.rawValue)")
            }
        },
        ContextField(derived: "usage_source") { .text($0.usageSource.rawValue) },
        ContextField(derived: "input_tokens") { .integer($0.usage.promptTotal) },
        ContextField(derived: "output_tokens") { .integer($0.usage.completionTotal) },
    ]

    /// How the answer ended.
    package var outcome: AnswerOutcome
    /// The tokens it used.
    package var usage: Usage
    /// How they are known.
    package var usageSource: UsageSource
    /// Why the provider's own numbers were not believed.
    package var usageProblem: String?
    /// Whether anything was delivered, or reported, that providers charge for.
    package var hasBillableOutput = true
    /// A plain answer's body, sent once the charge is committed.
    package var body: [UInt8] = []
    /// The last bytes of a stream, sent once the charge is committed.
    package var terminalBytes: [UInt8] = []
    /// Whether a checkpoint of the stream was asked for.
    package var isCheckpointed = false
    /// A complete answer as it is kept for whoever asks again; nil without an idempotency key.
    package var kept: StoredAnswer?

    /// Whether the tenant pays: not for an answer that others cut off before its first word.
    package var isCharged: Bool {
        switch outcome {
        case .complete, .interrupted(by: .client), .interrupted(by: .money): true
        case .interrupted: hasBillableOutput
        }
    }
}

/// What `billing` leaves: the charge.
package struct BillingSection: ContextSection {
    package static let namespace = Billing.name
    package static let fields: [ContextField<Self>] = [
        ContextField(derived: "pending_transaction_id") { .text($0.trace.description) },
        ContextField(derived: "pending_trace_id") { .text($0.trace.description) },
        ContextField("pricing_config", \.priceVersion), ContextField("charge", \.charge),
        ContextField("balance_after", \.balanceAfter), ContextField("skip_reason", \.skipReason),
    ]

    /// The name of the billing transaction.
    package var trace: TraceID
    /// The price that applied.
    package var priceVersion: Int64
    /// What was charged.
    package var charge: Money
    /// The balance with the charge taken and the rest of the hold given back; nil while that is not known.
    package var balanceAfter: Money?
    /// Why nothing was charged, where that is so.
    package var skipReason: String?
    /// Whether the charge is durable; if not, it is queued.
    package var isDurable = true
}
