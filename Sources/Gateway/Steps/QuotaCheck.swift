import Core
import Dialects
import Quota
package import Settlement
package import Tenancy
import Threads

/// Takes the money this request could cost at most, before anything is sent to a provider; a stream takes less at first.
package struct QuotaCheck: Step {
    package static let name: StepName = "quota_check"
    package static var dependsOn: [any Step.Type] {
        [RoutingStep.self, Idempotency.self, ExternalAuth.self, Validation.self]
    }

    private let settlement: SettlementEngine
    private let claims: IdempotencyClaims
    private let lease: OwnerLease
    private let timeZones: TimeZones
    private let policy: HoldPolicy

    /// Creates the step.
    package init(
        settlement: SettlementEngine, claims: IdempotencyClaims, lease: OwnerLease, timeZones: TimeZones,
        policy: HoldPolicy
    ) {
        self.settlement = settlement
        self.claims = claims
        self.lease = lease
        self.timeZones = timeZones
        self.policy = policy
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        guard lease.isHeld else { throw .leaseLost }
        let request = context.validation.request
        let caller = context.externalAuth.caller
        let bound = try HoldBound(request, candidates: context.routing.candidates, policy: policy)
        let zone = caller.tenant.timeZone
        let now = WallClock.unixMilliseconds / 1_000
        let order = ReserveOrder(
            tenant: caller.tenant.id, trace: context.trace, key: caller.key.id, amount: bound.amount,
            least: bound.least, period: timeZones.period(in: zone, unixSeconds: now),
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
            let cap = bound.outputCap(
                within: hold.amount, request, candidates: context.routing.candidates)
            context.quotaCheck = QuotaCheckSection(hold: hold, outputCap: cap, limits: limits)
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
