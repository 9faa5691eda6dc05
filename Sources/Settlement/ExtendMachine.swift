package import Core
package import Ledger
package import Quota

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

    /// What the ledger's writer says.
    package init(_ outcome: LedgerWriter.Outcome) {
        switch outcome {
        case .written: self = .raised
        case .standing(let row): self = row.status == .pending ? .fenced : .ended
        // A database that was restored, or a standby that took over, has lost the row.
        case .fenced, .keyTaken: self = .ended
        case .failed: self = .failed
        case .unknown: self = .unknown
        }
    }
}

/// The decisions of extending a hold while its request runs: which effect comes next after each reply.
///
/// It does nothing itself.
///
/// The image comes first, because it knows how much of the money is there; then the row is raised to what was taken, under the same
/// fence as its insert: only while the image's epoch is the ledger's. A rebuild in between has made an image of the row as it was, so
/// the image is asked again. An image that has nothing left is believed when it is as current as the ledger. Amounts are absolute,
/// so every step may be repeated. Nothing may be delivered beyond the amount of the last ``Action/finish(_:)``.
package struct ExtendMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable, Equatable {
        /// Raise the hold in the image to this amount, or towards it.
        case extendImage(Money)
        /// Raise the row's hold to this amount, if this is the tenant's epoch.
        case raiseRow(Money, epoch: Int64)
        /// Rebuild the tenant's image, or wait for whoever does.
        case rebuild
        /// Read what is current of the tenant in the ledger.
        case readStanding
        /// Drop the image, if the ledger is ahead of it.
        case drop(TenantStanding)
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
        case standing(TenantStanding?)
        case dropped
        /// Redis or PostgreSQL cannot say now.
        case failed
    }

    private let amount: Money
    private var taken: Money
    private var refusal: TenantStanding?
    private var roundsLeft: Int

    /// Creates the machine of one extension.
    ///
    /// - Parameters:
    ///   - amount: What is to be held in all.
    ///   - roundsMax: How often the image is asked before giving up.
    package init(to amount: Money, roundsMax: Int = 4) {
        self.amount = amount
        taken = amount
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin, .rebuilt, .dropped: return extendImage()
        case .imageAnswered(let reply): return next(after: reply)
        case .rowAnswered(.raised): return .finish(taken)
        case .rowAnswered(.fenced):
            refusal = nil
            return .readStanding
        case .rowAnswered(.ended): return .overruled
        case .standing(let standing): return next(knowing: standing)
        case .rowAnswered(.failed), .rowAnswered(.unknown), .failed: return .fail
        }
    }

    private mutating func next(after reply: ExtendReply) -> Action {
        switch reply {
        case .extended(let taken, let epoch):
            self.taken = taken
            return .raiseRow(taken, epoch: epoch)
        case .late: return extendImage()
        case .missing: return .rebuild
        case .gone: return .overruled
        case .refused(let epoch, let creditSequence, let limitsVersion):
            refusal = TenantStanding(
                epoch: epoch, creditSequence: creditSequence, limitsVersion: limitsVersion)
            return .readStanding
        }
    }

    private func next(knowing standing: TenantStanding?) -> Action {
        guard let standing else { return .fail }
        if let refusal, refusal.isCurrent(in: standing) { return .refuse }
        return .drop(standing)
    }

    private mutating func extendImage() -> Action {
        guard roundsLeft > 0 else { return .fail }
        roundsLeft -= 1
        return .extendImage(amount)
    }
}

extension TenantStanding {
    /// Whether an image that knows this much knows all that the ledger says.
    fileprivate func isCurrent(in ledger: TenantStanding) -> Bool {
        epoch == ledger.epoch && creditSequence >= ledger.creditSequence
            && limitsVersion >= ledger.limitsVersion
    }
}
