package import Ledger
package import Quota

/// The decisions of ending a hold while its client waits: which effect comes next after each reply.
///
/// It does nothing itself.
///
/// The ledger comes first, and what it says is obeyed: only a row that has ended there is settled in Redis, and for what the row
/// charges. A Redis that does not answer is no failure, because the charge is durable.
package struct SettleMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// End the row as wanted.
        case endRow
        /// Give back in Redis what the row does not charge.
        case settleImage(RowEnd)
        /// Let Redis be settled later.
        case queueImage(RowEnd)
        /// Let the row be ended later: as wanted, or voided if the client is told of the failure.
        case queueRow
        /// The row has ended as wanted; the reply is what Redis said, if it said anything.
        case finish(RowEnd, SettleReply?)
        /// It has not ended, or otherwise.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        /// Nothing was sent, because too many wait.
        case overloaded
        case written(LedgerWriter.Outcome)
        case imageSettled(SettleReply)
        case imageFailed
        case queued
    }

    private let wanted: RowEnd
    private var end: RowEnd?
    private var failure: SettlementError?

    /// Creates the machine of one settlement.
    package init(wanted: RowEnd) {
        self.wanted = wanted
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin: return .endRow
        case .overloaded: return later("too many settlements wait already")
        case .written(let outcome): return next(after: outcome)
        case .imageSettled(let reply): return finish(reply)
        case .imageFailed:
            guard let end else { preconditionFailure("Redis is settled after the row") }
            return .queueImage(end)
        case .queued:
            if let failure { return .fail(failure) }
            return finish(nil)
        }
    }

    private mutating func next(after outcome: LedgerWriter.Outcome) -> Action {
        if let end = RowEnd(outcome, wanted: wanted) {
            self.end = end
            return .settleImage(end)
        }
        switch outcome {
        case .failed(let error), .unknown(let error): return later("\(error)")
        case .written, .standing, .fenced, .keyTaken:
            // A database that was restored, or a standby that took over, has lost the row: nothing can be charged to it.
            return later("the ledger has lost the row of this request")
        }
    }

    private mutating func later(_ reason: String) -> Action {
        failure = .notDurable(reason)
        return .queueRow
    }

    private func finish(_ reply: SettleReply?) -> Action {
        guard let end else { preconditionFailure("Redis is settled after the row") }
        guard end.status == wanted.status else {
            return .fail(.overruled("another process has ended this request as \(end.status.rawValue)"))
        }
        return .finish(end, reply)
    }
}
