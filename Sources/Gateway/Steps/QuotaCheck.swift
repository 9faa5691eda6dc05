import Core
import Dialects
import Quota
package import Settlement
package import Tenancy
import Threads

/// Takes the money this request could cost at most, before anything is sent to a provider.
package struct QuotaCheck: Step {
    package static let name: StepName = "quota_check"
    package static var dependsOn: [any Step.Type] {
        [RoutingStep.self, Idempotency.self, ExternalAuth.self, Validation.self]
    }

    private let settlement: SettlementEngine
    private let claims: IdempotencyClaims
    private let timeZones: TimeZones
    private let outputTokensDefault: Int64
    private let outputTokensMax: Int64

    /// Creates the step.
    ///
    /// - Parameters:
    ///   - outputTokensDefault: The output cap of a request that names none.
    ///   - outputTokensMax: The largest output cap of any request.
    package init(
        settlement: SettlementEngine, claims: IdempotencyClaims, timeZones: TimeZones,
        outputTokensDefault: Int64,
        outputTokensMax: Int64
    ) {
        self.settlement = settlement
        self.claims = claims
        self.timeZones = timeZones
        self.outputTokensDefault = outputTokensDefault
        self.outputTokensMax = outputTokensMax
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        let request = context.validation.request
        let caller = context.externalAuth.caller
        let bound = try HoldBound(
            request, candidates: context.routing.candidates, outputTokensDefault: outputTokensDefault,
            outputTokensMax: outputTokensMax)
        let zone = caller.tenant.timeZone
        let now = WallClock.unixMilliseconds / 1_000
        let order = ReserveOrder(
            tenant: caller.tenant.id, trace: context.trace, key: caller.key.id, amount: bound.amount,
            period: timeZones.period(in: zone, unixSeconds: now),
            deadlineMilliseconds: Int64(context.deadline.remainingMilliseconds), capability: "chat",
            model: request.model, isStream: request.stream,
            tokens: bound.tokens(of: request, limits: caller.tenant.limits),
            hasBudget: caller.key.budget != nil, limitsVersion: caller.tenant.limits.version,
            claim: context.idempotency.claim)
        do throws(SettlementError) {
            let hold = try settlement.reserve(order)
            let limits = LimitReport.reports(of: hold.held) {
                timeZones.secondsLeft(in: zone, unixSeconds: now)
            }
            context.quotaCheck = QuotaCheckSection(hold: hold, outputCap: bound.outputCap, limits: limits)
        } catch {
            if let claim = order.claim,
                let refusal = claims.refusal(of: claim, order.tenant, key: caller.key.id, after: error)
            {
                throw GatewayError(refusal)
            }
            throw GatewayError(
                error, tokens: order.tokens, left: timeZones.secondsLeft(in: zone, unixSeconds: now))
        }
        if let budget = context.quotaCheck.hold.held.budget { context.externalAuth.budgetUsed = budget.used }
    }

    /// Gives the whole hold back, but only when the client received nothing; otherwise `billing` charges what was delivered.
    package func compensate(_ context: inout WorkflowContext, after error: GatewayError) {
        guard !context.quotaCheck.isEnded, context.bytesDelivered == 0 else { return }
        context.quotaCheck.isEnded = true
        settlement.void(context.quotaCheck.hold, context.voided(after: error))
    }
}

/// The most a request can cost, and the output cap that makes it so.
struct HoldBound {
    let amount: Money
    let outputCap: Int64

    /// Computes the bound with the dearest candidate.
    init(
        _ request: ChatRequest, candidates: [ProviderModel], outputTokensDefault: Int64,
        outputTokensMax: Int64
    ) throws(GatewayError) {
        guard request.messages.imageParts == 0 else { throw .unboundedParts("images") }
        guard request.messages.audioParts == 0 else { throw .unboundedParts("audio") }
        guard request.messages.fileParts == 0 else { throw .unboundedParts("files") }
        let modelMax = candidates.map(\.outputTokensMax).min() ?? outputTokensMax
        let cap = min(request.maxTokens.map { Int64($0) } ?? outputTokensDefault, modelMax, outputTokensMax)
        var dearest = Money.zero
        for candidate in candidates {
            let inputTokens =
                (Int64(request.promptBytes) + candidate.bytesPerToken - 1) / candidate.bytesPerToken
            let bound = candidate.price?.upperBound(
                inputTokens: inputTokens, outputTokens: cap, answers: Int64(request.n))
            guard let bound else { throw .costBeyondLimit() }
            dearest = max(dearest, bound)
        }
        amount = dearest
        outputCap = cap
    }

    /// The tokens that the request is believed to take at most, for the limit of a minute.
    ///
    /// Not counted where there is none; an image that has one all the same is newer, and judges the next request by it.
    func tokens(of request: ChatRequest, limits: TenantLimits) -> Int64 {
        guard limits.tokensPerMinute != nil else { return 0 }
        let output = outputCap.multipliedReportingOverflow(by: Int64(request.n))
        guard !output.overflow else { return .max / 2 }
        return min(output.partialValue, .max / 2) + ObservedUsage.inputTokens(of: request)
    }
}
