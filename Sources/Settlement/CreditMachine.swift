package import Ledger
package import Quota

/// The decisions of adding a credit: which effect comes next after each reply.
///
/// It does nothing itself. An effect that fails ends it, and the credit may be asked for again.
///
/// The ledger comes first, then the image, in the ledger's order and each credit once. A missing image leaves the task open: it is
/// rebuilt here rather than by the next request, because a rebuild that had read the ledger before this credit would otherwise
/// install a balance without it.
package struct CreditMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// Add it to the ledger.
        case addToLedger
        /// Add it to the image under its number.
        case apply(sequence: Int64)
        /// Make sure that an image stands.
        case rebuild
        /// Add to the image what it lacks after this number and before the credit's own.
        case catchUp(after: Int64, before: Int64)
        /// The ledger has it, or will not have it; the image knows.
        case finish(CreditOutcome)
        /// It is not known whether the image has it.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case added(CreditOutcome)
        case applied(CreditReply)
        case rebuilt
        case caughtUp
        /// Images are out of use: reservations are made in the ledger, which has the credit.
        case outOfUse
    }

    private var outcome = CreditOutcome.unknownTenant
    private var sequence: Int64 = 0
    private var roundsLeft: Int

    /// Creates the machine of one credit.
    ///
    /// - Parameter roundsMax: How often the image is asked to take it before giving up.
    package init(roundsMax: Int = 8) {
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin: return .addToLedger
        case .added(let outcome):
            self.outcome = outcome
            switch outcome {
            case .added(let sequence), .repeated(let sequence):
                self.sequence = sequence
                return apply()
            case .conflict, .unknownTenant, .beyondLimit: return .finish(outcome)
            }
        case .applied(.applied), .applied(.done): return .finish(outcome)
        case .applied(.missing): return .rebuild
        case .applied(.gap(let known)): return .catchUp(after: known, before: sequence)
        case .rebuilt, .caughtUp: return apply()
        case .outOfUse: return .finish(outcome)
        }
    }

    private mutating func apply() -> Action {
        guard roundsLeft > 0 else { return .fail(.unavailable("the tenant's image kept changing")) }
        roundsLeft -= 1
        return .apply(sequence: sequence)
    }
}
