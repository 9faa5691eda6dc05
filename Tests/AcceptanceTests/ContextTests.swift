import Core
import Dialects
import Foundation
import Ledger
import Tenancy
import TestSupport
import Testing
import Threads

@testable import Gateway
@testable import Quota
@testable import Settlement

/// Boxes 7.1 to 7.3: the typed context, and the string view of the same storage.
@Suite struct ContextTests {
    private static let trace = TraceID(unixMilliseconds: 1_700_000_000_000, random: (1, 2))
    private static let body =
        #"{"model":"small","messages":[{"role":"user","content":"hi"}],"stream":true}"#

    /// A context in which every step has left its section.
    private func filled(_ request: TestExchange) throws -> WorkflowContext {
        var context = empty(request)
        let tenant = try #require(TenantID("acme"))
        let key = APIKey(
            id: try #require(APIKeyID("key1")), label: "", expiresAtUnixSeconds: nil, isRevoked: false,
            allowedModels: ["small", "large"])
        let limits = TenantLimits(version: 1, creditLimit: .zero, dailyQuota: 10, monthlyQuota: 3)
        context.validation = ValidationSection(request: try ChatRequest(Array(Self.body.utf8)))
        context.externalAuth = ExternalAuthSection(
            caller: Caller(
                tenant: Tenant(id: tenant, isSuspended: false, timeZone: "UTC", limits: limits), key: key))
        context.idempotency = IdempotencySection(
            claim: IdempotencyClaim(key: "retry-1", bodyHash: Array(repeating: 0, count: 32)))
        context.routing = RoutingSection(candidates: [candidate(1), candidate(2)])
        let held = HeldAmount(
            epoch: 1, rseq: 1, balanceBefore: Money(nanodollars: 100), balanceAfter: Money(nanodollars: 70),
            dailyUsed: 4, monthlyUsed: 5, dailyQuota: 10, monthlyQuota: 3, limitsVersion: 1,
            period: Period(day: 20_260_101))
        context.quotaCheck = QuotaCheckSection(
            hold: Hold(tenant: tenant, trace: Self.trace, amount: Money(nanodollars: 30), held: held),
            outputCap: 9)
        context.templateRender = TemplateRenderSection(bodies: [1: [1, 2, 3]])
        context.upstreamCall = UpstreamCallSection(isStream: true, statusCode: 200, attempts: 2)
        context.responseTransform = ResponseTransformSection(
            outcome: .interrupted(by: .client), usage: Usage(input: 7, output: 8, reasoning: 1),
            usageSource: .observed)
        context.billing = BillingSection(
            trace: Self.trace, priceVersion: 3, charge: Money(nanodollars: 21),
            balanceAfter: Money(nanodollars: 79))
        return context
    }

    private func empty(_ request: TestExchange) -> WorkflowContext {
        WorkflowContext(
            trace: Self.trace, exchange: request.exchange, apiKey: .make(.apiKey), startedAt: .now,
            deadline: .after(seconds: 30))
    }

    private func candidate(_ id: Int64) -> ProviderModel {
        ProviderModel(
            id: id, model: "small",
            provider: Provider(
                name: "p\(id)", baseURL: "https://p.example/v1", credential: "s",
                allowsPrivateAddresses: false),
            upstreamModel: "up\(id)", priority: 1, weight: 1, outputTokensMax: 10, bytesPerToken: 1,
            outputCapField: "max_tokens",
            price: Price(version: 40 + id, rates: Price.Rates(input: 1, output: 1)))
    }

    /// Why the string view refuses; nil when it does not.
    private func refusal(_ use: () throws(ContextError) -> Void) -> ContextError? {
        do throws(ContextError) {
            try use()
            return nil
        } catch {
            return error
        }
    }

    // MARK: - 7.1

    @Test func `7.1 each step's section is a typed property of the context`() throws {
        let request = try TestExchange()
        let context = try filled(request)
        // The types are the compiler's to check: that this builds is the test.
        let balance: Money = context.quotaCheck.balanceBefore
        let model: String = context.validation.request.model
        let caller: Caller = context.externalAuth.caller
        let selected: ProviderModel = context.routing.selected
        let charge: Money = context.billing.charge
        let outcome: AnswerOutcome = context.responseTransform.outcome
        #expect(balance == Money(nanodollars: 100))
        #expect(model == "small")
        #expect(caller.tenant.id.description == "acme")
        #expect(selected.id == 1)
        #expect(charge == Money(nanodollars: 21))
        #expect(outcome == .interrupted(by: .client))
    }

    // MARK: - 7.2

    @Test func `7.2 every key of the original requirements exists`() throws {
        let required = [
            "validation": ["request", "validated"],
            "external_auth": ["budget_limit", "budget_used", "allowed_models", "scopes"],
            "routing": [
                "provider_model_id", "provider", "upstream_model", "pricing_config", "affinity_state",
            ],
            "quota_check": [
                "balance_before", "balance_after", "daily_used", "monthly_used", "estimated_cost",
                "remaining_balance", "daily_remaining", "monthly_remaining",
            ],
            "upstream_call": ["stream", "status_code"],
            "billing": [
                "pending_transaction_id", "pending_trace_id", "pricing_config", "balance_after",
                "skip_reason",
            ],
        ]
        let request = try TestExchange()
        let context = try filled(request)
        for (namespace, keys) in required {
            for key in keys {
                let refusal = refusal { () throws(ContextError) in _ = try context.get(namespace, key) }
                #expect(refusal == nil, "\(namespace).\(key)")
            }
        }
    }

    @Test func `7.2 get shows what the typed sections hold, for every field`() throws {
        let expected: [String: [String: ContextValue]] = [
            "validation": [
                "request": .text(Self.body), "validated": .flag(true), "model": .text("small"),
                "stream": .flag(true),
            ],
            "external_auth": [
                "tenant": .text("acme"), "api_key": .text("key1"), "budget_limit": .none,
                "budget_used": .none,
                "allowed_models": .list(["large", "small"]), "scopes": .list(["inference"]),
            ],
            "idempotency": [
                "key": .text("retry-1"), "replayed": .none,
            ],
            "routing": [
                "provider_model_id": .integer(1), "provider": .text("p1"), "upstream_model": .text("up1"),
                "pricing_config": .integer(41), "affinity_state": .text("NONE"),
            ],
            "quota_check": [
                "balance_before": .money(Money(nanodollars: 100)),
                "balance_after": .money(Money(nanodollars: 70)),
                "daily_used": .integer(4), "monthly_used": .integer(5),
                "estimated_cost": .money(Money(nanodollars: 30)),
                "remaining_balance": .money(Money(nanodollars: 70)),
                "daily_remaining": .integer(6), "monthly_remaining": .integer(0),
            ],
            "template_render": ["body_bytes": .integer(3)],
            "upstream_call": ["stream": .flag(true), "status_code": .integer(200), "attempts": .integer(2)],
            "response_transform": [
                "outcome": .text("interrupted_by_client"), "usage_source": .text("observed"),
                "input_tokens": .integer(7), "output_tokens": .integer(9),
            ],
            "billing": [
                "pending_transaction_id": .text(Self.trace.description),
                "pending_trace_id": .text(Self.trace.description), "pricing_config": .integer(3),
                "charge": .money(Money(nanodollars: 21)), "balance_after": .money(Money(nanodollars: 79)),
                "skip_reason": .none,
            ],
        ]
        let request = try TestExchange()
        let context = try filled(request)
        // No field may be missing from the table above, nor from the view.
        let declared = Dictionary(
            uniqueKeysWithValues: ContextSections.namespaces.map { ($0.name, Set($0.keys)) })
        #expect(declared == expected.mapValues { Set($0.keys) })
        for (namespace, fields) in expected {
            for (key, value) in fields {
                let shown = try context.get(namespace, key)
                #expect(shown == value, "\(namespace).\(key)")
            }
        }
    }

    @Test func `7.2 what the typed side changes the string view shows at once`() throws {
        let request = try TestExchange()
        var context = try filled(request)
        context.routing.selectedIndex = 1
        context.upstreamCall.statusCode = 503
        context.billing.charge = Money(nanodollars: 5)
        context.billing.skipReason = "internal"
        context.externalAuth.budgetLimit = Money(nanodollars: 1_000)
        let shown = [
            try context.get("routing", "provider_model_id"), try context.get("routing", "provider"),
            try context.get("routing", "pricing_config"), try context.get("upstream_call", "status_code"),
            try context.get("billing", "charge"), try context.get("billing", "skip_reason"),
            try context.get("external_auth", "budget_limit"),
        ]
        #expect(
            shown == [
                .integer(2), .text("p2"), .integer(42), .integer(503), .money(Money(nanodollars: 5)),
                .text("internal"), .money(Money(nanodollars: 1_000)),
            ])
    }

    @Test func `7.2 what is set through the string view the typed side has at once`() throws {
        let request = try TestExchange()
        var context = try filled(request)
        try context.set("external_auth", "budget_limit", .money(Money(nanodollars: 9)))
        try context.set("external_auth", "budget_used", .money(Money(nanodollars: 8)))
        try context.set("external_auth", "scopes", .list(["a", "b"]))
        try context.set("routing", "affinity_state", .text("ACTIVE"))
        try context.set("upstream_call", "stream", .flag(false))
        try context.set("upstream_call", "status_code", .integer(429))
        try context.set("upstream_call", "attempts", .integer(3))
        try context.set("billing", "pricing_config", .integer(77))
        try context.set("billing", "charge", .money(Money(nanodollars: 6)))
        try context.set("billing", "balance_after", .none)
        try context.set("billing", "skip_reason", .text("why"))
        let sections = context.sections
        #expect(sections.externalAuth?.budgetLimit == Money(nanodollars: 9))
        #expect(sections.externalAuth?.budgetUsed == Money(nanodollars: 8))
        #expect(sections.externalAuth?.scopes == ["a", "b"])
        #expect(sections.routing?.affinityState == "ACTIVE")
        #expect(sections.upstreamCall?.isStream == false)
        #expect(sections.upstreamCall?.statusCode == 429)
        #expect(sections.upstreamCall?.attempts == 3)
        #expect(sections.billing?.priceVersion == 77)
        #expect(sections.billing?.charge == Money(nanodollars: 6))
        #expect(sections.billing?.balanceAfter == nil)
        #expect(sections.billing?.skipReason == "why")
    }

    @Test func `7.2 every field either keeps what is set or says that it is read only`() throws {
        let samples: [ContextValue] = [
            .text("sample"), .integer(123), .money(Money(nanodollars: 456)), .flag(false), .flag(true),
            .list(["x"]),
        ]
        let request = try TestExchange()
        for namespace in ContextSections.namespaces {
            for key in namespace.keys {
                var context = try filled(request)
                let before = try context.get(namespace.name, key)
                var kept = 0
                for sample in samples {
                    let refusal = refusal { () throws(ContextError) in
                        try context.set(namespace.name, key, sample)
                    }
                    let after = try context.get(namespace.name, key)
                    switch refusal {
                    case nil:
                        #expect(after == sample, "\(namespace.name).\(key)")
                        kept += 1
                    case .readOnly(namespace.name, key)?: #expect(after == before, "\(namespace.name).\(key)")
                    default: #expect(refusal == .wrongType(namespace.name, key))
                    }
                }
                // One type each; a flag has two values.
                let isFlag = if case .flag = before { true } else { false }
                #expect(kept == 0 || kept == (isFlag ? 2 : 1), "\(namespace.name).\(key)")
            }
        }
    }

    @Test
    func
        `7.2 an unknown namespace or key, or a value of another type, is an error and never a silent nothing`()
        throws
    {
        let request = try TestExchange()
        var context = try filled(request)
        let unknownKey = refusal { () throws(ContextError) in _ = try context.get("billing", "balanceAfter") }
        let unknownNamespace = refusal { () throws(ContextError) in _ = try context.get("Billing", "charge") }
        let empty = refusal { () throws(ContextError) in _ = try context.get("", "") }
        #expect(unknownKey == .unknownKey("billing", "balanceAfter"))
        #expect(unknownNamespace == .unknownNamespace("Billing"))
        #expect(empty == .unknownNamespace(""))
        let wrongType = refusal { () throws(ContextError) in
            try context.set("upstream_call", "status_code", .text("200"))
        }
        let noValue = refusal { () throws(ContextError) in
            try context.set("upstream_call", "status_code", .none)
        }
        let readOnly = refusal { () throws(ContextError) in
            try context.set("quota_check", "balance_before", .money(.zero))
        }
        let unknown = refusal { () throws(ContextError) in try context.set("billing", "cost", .money(.zero)) }
        #expect(wrongType == .wrongType("upstream_call", "status_code"))
        #expect(noValue == .wrongType("upstream_call", "status_code"))
        #expect(readOnly == .readOnly("quota_check", "balance_before"))
        #expect(unknown == .unknownKey("billing", "cost"))
        #expect(context.upstreamCall.statusCode == 200)
    }

    @Test func `7.2 a section whose step has not run is an error, for reading and for setting`() throws {
        let request = try TestExchange()
        var context = empty(request)
        for namespace in ContextSections.namespaces {
            for key in namespace.keys {
                let get = refusal { () throws(ContextError) in _ = try context.get(namespace.name, key) }
                let set = refusal { () throws(ContextError) in
                    try context.set(namespace.name, key, .text("x"))
                }
                #expect(get == .notFilled(namespace.name))
                #expect(set == .notFilled(namespace.name))
            }
        }
    }

    @Test(arguments: [
        (ContextValue.text("a"), "a"), (.integer(-1), "-1"), (.money(Money(nanodollars: 1)), "0.000000001"),
        (.flag(true), "true"), (.list(["a", "b"]), "a,b"), (.none, ""),
    ])
    func `7.2 every value has a text for templates and logs`(value: ContextValue, text: String) {
        #expect("\(value)" == text)
    }

    // MARK: - 7.3

    @Test func `7.3 no two steps claim one name`() {
        #expect(WorkflowContext.doubledNames() == [])
        #expect(ContextSections.namespaces.count == 9)
    }

    @Test func `7.3 a namespace that is declared twice is found, with its keys`() {
        let doubled = WorkflowContext.doubledNames(
            in: ContextSections.namespaces + [ContextNamespace(\.upstreamCall)])
        #expect(
            doubled == [
                "upstream_call", "upstream_call.stream", "upstream_call.status_code",
                "upstream_call.attempts",
            ])
    }

    @Test func `7.3 another section that claims a step's name is found`() {
        let doubled = WorkflowContext.doubledNames(
            in: ContextSections.namespaces + [ContextNamespace(\.impostor)])
        #expect(doubled == ["billing", "billing.charge"])
    }

    @Test func `7.3 a key that is declared twice in one section is found`() {
        #expect(WorkflowContext.doubledNames(in: [ContextNamespace(\.stutterer)]) == ["stutterer.word"])
    }
}

// MARK: - Sections with mistakes

private struct Impostor: ContextSection {
    static let namespace = Billing.name
    static let fields: [ContextField<Self>] = [
        ContextField(derived: "charge") { _ in .money(.zero) }, ContextField(derived: "own") { _ in .none },
    ]
}

private struct Stutterer: ContextSection {
    static let namespace: StepName = "stutterer"
    static let fields: [ContextField<Self>] = [
        ContextField(derived: "word") { _ in .none }, ContextField(derived: "word") { _ in .flag(true) },
    ]
}

extension ContextSections {
    fileprivate var impostor: Impostor? {
        get { nil }
        set {}
    }

    fileprivate var stutterer: Stutterer? {
        get { nil }
        set {}
    }
}
