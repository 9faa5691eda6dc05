import Core
package import Ledger
package import Quota

/// The decisions of reserving: which effect comes next after each reply.
///
/// It does nothing itself.
///
/// The order is the protocol's: take the hold in Redis, make it durable in the ledger under the fence, and only then go on. A stale
/// image is dropped and the reservation tried again, a bounded number of times.
package struct ReserveMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// Take the hold in the image.
        case deduct
        /// Rebuild the tenant's image, or wait for whoever does.
        case rebuild
        /// Insert the pending row for this hold.
        case insertPending(HeldAmount)
        /// Read what is current of the tenant in the ledger.
        case readStanding
        /// Drop the image, because the ledger is ahead of it.
        case drop(TenantStanding)
        /// Give the hold back: no row stands for it, and none can come any more.
        case release(HeldAmount)
        /// The money is taken and durable.
        case finish(HeldAmount)
        /// It cannot be taken.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case deducted(DeductReply)
        case deductFailed(QuotaError)
        case rebuilt
        case rebuildFailed(SettlementError)
        case inserted(LedgerWriter.Outcome)
        case standing(TenantStanding?)
        case standingUnknown
        case dropped
        case released
    }

    private var held: HeldAmount?
    private var refusal: QuotaRefusal?
    private var afterRelease: SettlementError?
    private var roundsLeft: Int
    private var refusalIsCurrent = false

    /// Creates the machine of one reservation.
    ///
    /// - Parameter roundsMax: How often a hold is asked for before giving up.
    package init(roundsMax: Int = 4) {
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin, .dropped, .rebuilt: return deductAgain()
        case .deducted(let reply): return next(after: reply)
        case .deductFailed(let error): return .fail(.unavailable("Redis: \(error)"))
        case .rebuildFailed(let error): return .fail(error)
        case .inserted(let outcome): return next(after: outcome)
        case .standing(let standing): return next(knowing: standing)
        case .standingUnknown: return .fail(.unavailable("the ledger could not be read"))
        case .released: return .fail(afterRelease ?? .unavailable("the hold was given back"))
        }
    }

    private mutating func deductAgain() -> Action {
        guard roundsLeft > 0 else { return .fail(.unavailable("the tenant's image kept changing")) }
        roundsLeft -= 1
        held = nil
        return .deduct
    }

    private mutating func next(after reply: DeductReply) -> Action {
        switch reply {
        case .held(let held):
            self.held = held
            return .insertPending(held)
        case .missing: return .rebuild
        case .stale:
            refusal = nil
            return .readStanding
        case .late: return deductAgain()
        case .conflict: return .fail(.conflict)
        case .refused(let refusal):
            // What passes within a minute is not worth a look into the ledger, and newer limits the caller knows.
            guard !refusalIsCurrent, !refusal.limit.isRate else { return .fail(.refused(refusal)) }
            self.refusal = refusal
            return .readStanding
        }
    }

    private mutating func next(after outcome: LedgerWriter.Outcome) -> Action {
        guard let held else { preconditionFailure("a row is only inserted for a hold") }
        switch outcome {
        case .written: return .finish(held)
        case .fenced:
            // The image is of another epoch than the ledger: find out which, and drop it if it is the older.
            refusal = nil
            return .readStanding
        case .standing:
            afterRelease = .conflict
            return .release(held)
        case .keyTaken:
            afterRelease = .keyInUse
            return .release(held)
        case .failed(let error):
            afterRelease = .unavailable("PostgreSQL: \(error)")
            return .release(held)
        case .unknown(let error):
            // Perhaps a row stands: the retries end both together.
            return .fail(.unavailable("PostgreSQL: \(error)"))
        }
    }

    private mutating func next(knowing standing: TenantStanding?) -> Action {
        guard let standing else { return .fail(.unknownTenant) }
        guard let refusal else { return .drop(standing) }
        let isStale =
            refusal.epoch != standing.epoch || refusal.creditSequence < standing.creditSequence
            || refusal.limitsVersion < standing.limitsVersion
        guard isStale else { return .fail(.refused(refusal)) }
        refusalIsCurrent = true
        return .drop(standing)
    }
}
