package import Core
import Redis

/// A hold that is to be raised, by the name that the image knows it under.
package struct HoldExtension: Sendable {
    /// Whose image.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The epoch in which the hold was taken.
    package let epoch: Int64
    /// The hold's number in that epoch.
    package let rseq: Int64
    /// The API key, if it had a budget when the hold was taken.
    package let budgetKey: APIKeyID?
    /// What is to be held in all.
    package let amount: Money

    /// Creates an order; its amount must be one that may be held.
    package init(
        tenant: TenantID, trace: TraceID, epoch: Int64, rseq: Int64, budgetKey: APIKeyID?, amount: Money
    ) {
        precondition(amount >= .zero && amount <= .holdLimit, "not an amount to hold")
        self.tenant = tenant
        self.trace = trace
        self.epoch = epoch
        self.rseq = rseq
        self.budgetKey = budgetKey
        self.amount = amount
    }
}

/// What came of raising a hold in the image to an absolute amount.
package enum ExtendReply: Sendable, Equatable {
    /// It holds that amount now, which may be less than was asked for; and the image's epoch.
    case extended(Money, epoch: Int64)
    /// Nothing more can be taken; what the image knows.
    case refused(epoch: Int64, creditSequence: Int64, limitsVersion: Int64)
    /// There is no such hold any more.
    case gone
    /// There is no valid image of the tenant.
    case missing
    /// The command reached Redis after its caller had given up; nothing was done.
    case late
}

extension QuotaStore {
    /// Raises a hold, as far as there is money; the same again takes nothing more.
    package func extend(_ order: HoldExtension) throws(QuotaError) -> ExtendReply {
        let keys = QuotaKeys(order.tenant)
        let hashes = [keys.tenant, keys.holds] + (order.budgetKey.map { [keys.budget(of: $0)] } ?? [])
        dirty.note(TenantBatch.batches(of: [order]))
        var reply = try evaluate(QuotaScripts.extend, hashes) { arguments, facts in
            arguments.add(self.number(of: facts.identity))
            arguments.add(facts.notAfterMicroseconds)
            order.trace.withUTF8 { arguments.add($0) }
            arguments.add(order.epoch)
            arguments.add(order.rseq)
            arguments.add(order.amount.nanodollars)
        }
        let word = reply.text()
        switch word {
        case "OK": return .extended(try reply.money(), epoch: try reply.int())
        case "REFUSED":
            return .refused(
                epoch: try reply.int(), creditSequence: try reply.int(), limitsVersion: try reply.int())
        case "GONE": return .gone
        case "MISS": return .missing
        case "LATE": return .late
        default: throw .unexpectedReply(word)
        }
    }
}
