package import Core
package import Ledger

/// The decisions of ending a row after its client has gone: which effect comes next after each reply.
///
/// It does nothing itself.
///
/// A row that is not there gets a voided one, so that an insert that is still on its way finds the trace taken. A charge that got
/// through although the client was told of a failure is given back as a credit.
package struct RetryMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// End the row as wanted.
        case endRow
        /// Put a voided row under the trace.
        case bury
        /// Give a charge back as a credit.
        case refund(Money)
        /// Give back in Redis what the row does not charge.
        case settleImage(RowEnd)
        /// Let Redis be settled later; the row is done.
        case queueImage(RowEnd)
        /// All is done.
        case finish
        /// Try it all again later.
        case putBack
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case written(LedgerWriter.Outcome)
        case buried
        case refunded(CreditOutcome)
        case imageSettled
        case imageFailed
        case queued
        /// The ledger gave no answer, or the credit could not be added.
        case failed
    }

    private let wanted: RowEnd
    private var end: RowEnd?
    private var isBuried = false

    /// Creates the machine of one try.
    package init(wanted: RowEnd) {
        self.wanted = wanted
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin: return .endRow
        case .written(let outcome): return next(after: outcome)
        case .buried:
            isBuried = true
            return .endRow
        case .refunded(.beyondLimit), .failed: return .putBack
        case .refunded: return settleImage()
        case .imageSettled, .queued: return .finish
        case .imageFailed:
            guard let end else { preconditionFailure("Redis is settled after the row") }
            return .queueImage(end)
        }
    }

    private mutating func next(after outcome: LedgerWriter.Outcome) -> Action {
        if let end = RowEnd(outcome, wanted: wanted) {
            self.end = end
            let isOwed = wanted.status == .voided && end.status == .committed && end.charge > .zero
            return isOwed ? .refund(end.charge) : settleImage()
        }
        // Without a row its insert got no answer, and may still be on its way.
        if case .fenced = outcome, !isBuried { return .bury }
        return .putBack
    }

    private func settleImage() -> Action {
        guard let end else { preconditionFailure("Redis is settled after the row") }
        return .settleImage(end)
    }
}
