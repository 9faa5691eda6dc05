import Core
import Dialects
import Ledger
import Quota
package import Settlement
import Threads

/// Writes the charge: PENDING becomes COMMITTED with the real usage, then Redis gets back what was held too much.
package struct Billing: Step {
    package static let name: StepName = "billing"
    package static var dependsOn: [any Step.Type] {
        [
            ResponseTransform.self, UpstreamCall.self, QuotaCheck.self, RoutingStep.self, ExternalAuth.self,
        ]
    }

    private let settlement: SettlementEngine
    private let warnings = BudgetWarnings()

    package init(settlement: SettlementEngine) {
        self.settlement = settlement
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        guard let price = context.routing.selected.price else {
            preconditionFailure("routing lets only priced candidates through")
        }
        let answer = context.responseTransform
        guard answer.isCharged else {
            waive(&context, price)
            return
        }
        // A cost that cannot be stored is far above any hold.
        let cost = price.cost(of: answer.usage) ?? .limit
        if cost > context.quotaCheck.hold.amount { extend(&context.quotaCheck.hold, to: cost) }
        let hold = context.quotaCheck.hold
        let charge = min(cost, hold.amount)
        var committed = context.settlement(.committed)
        committed.charge = charge
        committed.overrun = cost - charge
        committed.priceVersion = price.version
        committed.usage = answer.usage
        committed.usageSource = answer.usageSource
        committed.hasCheckpoint = answer.isCheckpointed
        switch answer.outcome {
        case .complete:
            committed.streamCompleted = context.upstreamCall.isStream
            committed.answer = answer.kept
        case .interrupted(let by):
            committed.interruptedBy = by.rawValue
            committed.isError = by != .client && by != .money
        }
        context.quotaCheck.isEnded = true
        context.billing = BillingSection(trace: context.trace, priceVersion: price.version, charge: charge)
        let warning = context.budgetWarning(charge: charge).flatMap { warnings.contains($0) ? nil : $0 }
        if let warning { committed.afterCommit(warning.task) }
        let isSeen = context.bytesDelivered > 0
        do throws(SettlementError) {
            // A client that has seen nothing is told of the failure, and must then not be charged.
            let settled = try settlement.settle(
                hold, committed, otherwise: isSeen ? committed : context.voided(after: .billingFailed("")))
            context.billing.charge = settled.charge
            context.billing.balanceAfter = settled.balance
            if let warning { warnings.note(warning) }
        } catch {
            context.billing.isDurable = false
            guard isSeen else { throw GatewayError(error) }
            let failure = GatewayError.billingDelayed("\(error)")
            context.failure = failure
            context.responseTransform.terminalBytes = failure.client.event
        }
    }

    /// Raises a hold towards what the answer costs, as far as there is money; the rest is the house's.
    private func extend(_ hold: inout Hold, to cost: Money) {
        if case .extended(let raised) = settlement.extend(hold, to: min(cost, .holdLimit)) { hold = raised }
    }

    /// Ends the hold of an answer that was cut off before its first word: nobody pays for it.
    private func waive(_ context: inout WorkflowContext, _ price: Price) {
        context.quotaCheck.isEnded = true
        var voided = context.settlement(.voided)
        voided.isError = true
        voided.errorCode = "UPSTREAM_CALL_FAILED"
        voided.hasCheckpoint = context.responseTransform.isCheckpointed
        settlement.void(context.quotaCheck.hold, voided)
        context.billing = BillingSection(
            trace: context.trace, priceVersion: price.version, charge: .zero,
            skipReason: "nothing was delivered")
    }
}

extension WorkflowContext {
    /// The end of this request's row, with what is known of who served it.
    func settlement(_ status: TransactionStatus) -> RowSettlement {
        var settlement = RowSettlement(tenant: quotaCheck.hold.tenant, trace: trace, status: status)
        let selected = routing.selected
        settlement.provider = selected.provider.name
        settlement.providerModelID = selected.id
        settlement.upstreamModel = selected.upstreamModel
        settlement.latencyMilliseconds = startedAt.elapsedNanoseconds / 1_000_000
        return settlement
    }

    /// The warning that a charge brings about its key's budget; nil without a budget, and while less than nine tenths of it are used.
    fileprivate func budgetWarning(charge: Money) -> BudgetWarning? {
        let held = quotaCheck.hold.held
        let key = externalAuth.caller.key
        guard let use = held.budget, let budget = key.budget else { return nil }
        // What was used then, with what was taken for this request; running requests count at their holds.
        let taken = held.balanceBefore - held.balanceAfter
        return BudgetWarning(
            tenant: quotaCheck.hold.tenant, key: key.id, budget: budget.period, in: held.period,
            limit: use.limit, used: use.used - taken + charge)
    }

    /// The end of this request's row when nothing was delivered.
    func voided(after error: GatewayError) -> RowSettlement {
        var settlement = settlement(.voided)
        settlement.isError = true
        settlement.errorCode = error.code
        return settlement
    }
}
