package import Core

/// What came of raising a hold in the image to an absolute amount.
package enum ExtendReply: Sendable, Equatable {
    /// It holds at least that much; the image's epoch.
    case extended(epoch: Int64)
    /// The balance does not suffice; nothing was changed.
    case refused
    /// There is no such hold any more.
    case gone
    /// There is no valid image of the tenant.
    case missing
    /// The command reached Redis after its caller had given up; nothing was done.
    case late
}

/// What came of raising the hold of a pending row.
package enum RaiseOutcome: Sendable, Equatable {
    /// Durable; also when the row held that much already.
    case raised
    /// The image's epoch is not the ledger's: the image may be without the money that it took.
    case fenced
    /// The row is not pending any more.
    case ended
    /// Nothing was written.
    case failed
    /// Perhaps written.
    case unknown
}

/// The decisions of extending a hold while its stream runs: which effect comes next after each reply.
///
/// It does nothing itself.
///
/// The image comes first, because it knows whether the money is there; then the row is raised, under the same fence as its insert: only
/// while the image's epoch is the ledger's. A rebuild in between has made an image of the row as it was, so the image is asked again.
/// Amounts are absolute, so every step may be repeated. Nothing may be delivered beyond the amount of the last ``Action/finish(_:)``.
package struct ExtendMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable, Equatable {
        /// Raise the hold in the image to this amount.
        case extendImage(Money)
        /// Raise the row's hold to this amount, if this is the tenant's epoch.
        case raiseRow(Money, epoch: Int64)
        /// Rebuild the tenant's image, or wait for whoever does.
        case rebuild
        /// Drop the image, if the ledger is ahead of it.
        case dropStale
        /// The row holds this amount.
        case finish(Money)
        /// No money is left: the stream ends with what it has.
        case refuse
        /// The row has been ended by another.
        case overruled
        /// It cannot be extended now.
        case fail
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case imageAnswered(ExtendReply)
        case rowAnswered(RaiseOutcome)
        case rebuilt
        case dropped
        /// Redis or PostgreSQL cannot say now.
        case failed
    }

    private let amount: Money
    private var roundsLeft: Int

    /// Creates the machine of one extension.
    ///
    /// - Parameters:
    ///   - amount: What is to be held in all.
    ///   - roundsMax: How often the image is asked before giving up.
    package init(to amount: Money, roundsMax: Int = 4) {
        self.amount = amount
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin, .rebuilt, .dropped, .imageAnswered(.late): return extendImage()
        case .imageAnswered(.extended(let epoch)): return .raiseRow(amount, epoch: epoch)
        case .imageAnswered(.missing): return .rebuild
        case .imageAnswered(.refused): return .refuse
        case .imageAnswered(.gone), .rowAnswered(.ended): return .overruled
        case .rowAnswered(.raised): return .finish(amount)
        case .rowAnswered(.fenced): return .dropStale
        case .rowAnswered(.failed), .rowAnswered(.unknown), .failed: return .fail
        }
    }

    private mutating func extendImage() -> Action {
        guard roundsLeft > 0 else { return .fail }
        roundsLeft -= 1
        return .extendImage(amount)
    }
}
