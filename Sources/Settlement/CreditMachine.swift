package import Ledger
package import Quota

/// The decisions of adding a credit, or of telling an image of one that the ledger has: which effect comes next after each reply.
///
/// It does nothing itself. An effect on the ledger that fails ends it, and the credit may be asked for again.
///
/// The ledger comes first, then the image, in the ledger's order and each credit once. With the credit the ledger writes a task,
/// which stays open until the image is known to have it: whoever adds the credit need not wait for a Redis that does not answer.
/// A missing image leaves the task open: it is rebuilt here rather than by the next request, because a rebuild that had read the
/// ledger before this credit would otherwise install a balance without it.
package struct CreditMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// Add it to the ledger, and in the same database transaction its task.
        case addToLedger
        /// Add it to the image under its number.
        case apply(sequence: Int64)
        /// Make sure that an image stands.
        case rebuild
        /// Add to the image what it lacks after this number and before the credit's own.
        case catchUp(after: Int64, before: Int64)
        /// Remove its task: the image has it. If that fails, whoever does the task finds it so.
        case closeTask(sequence: Int64)
        /// The ledger has it, or will not have it; the image knows, or the task is still open.
        case finish(CreditOutcome)
        /// The image does not have it yet: the task is to be put back.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case added(CreditOutcome)
        case applied(CreditReply)
        case rebuilt
        case caughtUp
        /// The image could not be asked, rebuilt or caught up with.
        case imageFailed(SettlementError)
        case taskClosed
    }

    private var outcome = CreditOutcome.unknownTenant
    private var sequence: Int64 = 0
    private let isTask: Bool
    private var roundsLeft: Int

    /// Creates the machine of one credit that is to be added.
    ///
    /// - Parameter roundsMax: How often the image is asked to take it before it is left to the task.
    package init(roundsMax: Int = 8) {
        isTask = false
        roundsLeft = roundsMax
    }

    /// Creates the machine of the task of a credit that the ledger has.
    package init(taskOf sequence: Int64, roundsMax: Int = 8) {
        self.sequence = sequence
        outcome = .repeated(sequence: sequence)
        isTask = true
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin: return isTask ? apply() : .addToLedger
        case .added(let outcome):
            self.outcome = outcome
            switch outcome {
            case .added(let sequence), .repeated(let sequence):
                self.sequence = sequence
                return apply()
            case .conflict, .unknownTenant, .beyondLimit: return .finish(outcome)
            }
        case .applied(.applied), .applied(.done): return .closeTask(sequence: sequence)
        case .applied(.missing): return .rebuild
        case .applied(.gap(let known)): return .catchUp(after: known, before: sequence)
        case .rebuilt, .caughtUp: return apply()
        case .imageFailed(let error): return leave(error)
        case .taskClosed: return .finish(outcome)
        }
    }

    private mutating func apply() -> Action {
        guard roundsLeft > 0 else { return leave(.unavailable("the tenant's image kept changing")) }
        roundsLeft -= 1
        return .apply(sequence: sequence)
    }

    private func leave(_ error: SettlementError) -> Action {
        isTask ? .fail(error) : .finish(outcome)
    }
}
