import Core
import Ledger
import Quota
import Settlement

/// What a thread asks of Redis or PostgreSQL.
enum Effect {
    // Redis
    case deduct(amount: Int64, least: Int64, day: Int32)
    case settleImage(HoldEnd)
    case extendImage(to: Int64)
    case applyCredit(sequence: Int64, amount: Int64)
    case drop(TenantStanding)
    case takeLease
    case install(epoch: Int64, SimulatedSnapshot)
    case readHolds
    case probe
    // PostgreSQL
    case register
    case insertPending(HeldAmount, amount: Int64)
    case endRow(RowEnd)
    case bury(HoldEnd)
    case raiseRow(to: Int64, epoch: Int64)
    case writeCheckpoint(Int64)
    case readStanding
    case raiseEpoch(above: Int64, change: Int64)
    case raiseEpochWithSnapshot(above: Int64)
    case readSnapshot
    case addCredit(externalID: Int, amount: Int64)
    case writeTask(SimulatedOutboxTask.Kind)
    case closeTask(SimulatedOutboxTask.Kind)
    case claimTasks
    case readCredits
    case readOrphans
    case readRows
    case readRow
    case readClaim
    case reserveInLedger(amount: Int64)
    case readMode
    case enterMode(after: Int64)
    case leaveMode(after: Int64, healthy: Int64)
    case noteLost(after: Int64)

    /// Whether Redis is asked.
    var isForRedis: Bool {
        switch self {
        case .deduct, .settleImage, .extendImage, .applyCredit, .drop, .takeLease, .install, .readHolds,
            .probe:
            true
        default: false
        }
    }

    /// Whether the ledger's writer sends it, which repeats what got no answer.
    var isRepeated: Bool {
        switch self {
        case .insertPending, .endRow: true
        default: false
        }
    }
}

/// What came back.
enum Answer {
    case deduct(DeductReply)
    case settle(SettleReply)
    case extend(ExtendReply)
    case credit(CreditReply)
    case lease(LeaseReply)
    case install(InstallReply)
    case row(LedgerWriter.Outcome)
    case raise(RaiseOutcome)
    case standing(TenantStanding)
    case epoch(Int64)
    /// No image may be made.
    case closed
    /// Another change of the mode than the one the epoch was to be raised for.
    case otherChange
    case registered(life: Int64, change: Int64)
    case reserved(LedgerReserve)
    case mode(InstallationMode)
    case snapshot(SimulatedSnapshot)
    case credited(CreditOutcome)
    case orphans([SimulatedOrphan])
    case holds([HoldEnd])
    case tasks([SimulatedOutboxTask.Kind])
    case rows([StandingRow?])
    case claim(StandingClaim?)
    case done
    /// Nothing was done, for sure.
    case refused
    /// Perhaps it was done.
    case lost
}

/// What came of a reservation in the ledger.
enum LedgerReserve {
    case held(HeldAmount)
    case refused
    case closed
    case conflict
}

/// A pending row as the sweeper reads it.
struct SimulatedOrphan {
    var trace: Int
    var hold: Int64
    var isOwnerDead: Bool
    var checkpoint: Int64
}

/// An effect on its way, with all that it needs when its sender has long gone.
struct Message {
    var effect: Effect
    var trace: Int
    /// The day in which its sender is.
    var day: Int32
    /// Which process sent it, for the rows it inserts.
    var owner: Int
    /// The life of Redis whose connection it was sent on.
    var life: Int64
    /// The number of that life, 0 when the sender does not know it.
    var incarnation: Int64
    var notAfter: Int64
    /// Whether the end of a row brings an after-commit task.
    var bringsTask = false
    var token: Int64
    /// When it arrives: it may be slow although its sender still waits.
    var arrivesAt: Int64
    /// The change of the mode after which its sender has registered that life; nil when it has not.
    var knownChange: Int64?
    /// Whether its database transaction is open.
    var isOpen = false
    /// What a reservation in the ledger has inserted, and not yet committed.
    var inserted: HeldAmount?
    /// What a statement had read before it had to wait.
    var snapshot: SimulatedSnapshot?
    /// How often it was sent.
    var attempts = 1
}
