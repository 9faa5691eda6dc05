import Core
import Settlement

@testable import Ledger

/// A billing transaction.
struct SimulatedRow: Equatable {
    enum State: Int8 {
        case absent
        /// Inserted by a database transaction that has not committed: nobody sees it.
        case open
        case pending
        case committed
        case voided
    }

    var state = State.absent
    var epoch: Int64 = 0
    var rseq: Int64 = 0
    var hold: Int64 = 0
    var charge: Int64 = 0
    var day: Int32 = 0
    var owner = 0
    var limitsVersion: Int64 = 0
    /// The hold that a database transaction has written and not committed; 0 for none.
    var openRaise: Int64 = 0

    /// Whether the end that it has brought an after-commit task.
    var broughtTask = false

    var hasEnded: Bool { state == .committed || state == .voided }
    /// Whether others see a row.
    var isVisible: Bool { state != .absent && state != .open }
}

/// A row of the outbox.
struct SimulatedOutboxTask: Equatable {
    enum Kind: Equatable {
        /// Tells the image of a credit.
        case credit(sequence: Int64)
        /// Tells somebody of a request.
        case event(trace: Int)
    }

    var kind: Kind
    /// Until when nobody else does it.
    var claimedUntil: Int64 = 0
}

/// All that an image is made of, as of one moment.
final class SimulatedSnapshot {
    /// The epoch, if the same statement has raised it.
    var epoch: Int64 = 0
    var balance: Int64 = 0
    var limits = SimulatedLimits()
    var creditSequence: Int64 = 0
    var day: Int32 = 0
    var dailyUsed: Int64 = 0
    var monthlyUsed: Int64 = 0
    var holds: [SimulatedHold]

    init(traces: Int) {
        holds = Array(repeating: SimulatedHold(), count: traces)
    }
}

/// One tenant in PostgreSQL, and what the statements do to it.
///
/// Each function is one statement that commits at once, but for the two that take part in the fence: those lock the epoch until their
/// database transaction is ended by a call of its own.
struct SimulatedLedger: Equatable {
    struct Credit: Equatable {
        var externalID: Int
        var amount: Int64
    }

    /// The mode of the installation.
    struct Mode: Equatable {
        var isDatabase = false
        var change: Int64 = 0
        var lostAt: Int64 = 0
    }

    /// How a statement of the fence went.
    enum Fenced: Equatable {
        /// Done, and not committed.
        case open
        /// Another database transaction has a lock that it needs.
        case blocked
        /// Nothing was written.
        case nothing
    }

    var epoch: Int64 = 1
    var limits: [SimulatedLimits] = []
    var credits: [Credit] = []
    var credited: Int64 = 0
    var rows: [SimulatedRow]
    /// What each stream had delivered when it was last written down.
    var checkpoints: [Int64]
    /// Which request each idempotency key stands for, and which is about to have it; -1 for none.
    var claims = [Int](repeating: -1, count: Simulation.keysMax)
    var openClaims = [Int](repeating: -1, count: Simulation.keysMax)
    /// What is to be done after commits.
    var tasks: [SimulatedOutboxTask] = []
    /// How many database transactions hold a share lock on the epoch.
    var epochShares = 0
    /// Whether a reservation in the ledger holds the epoch's lock alone.
    var hasEpochLock = false
    /// Whether the epoch is the ledger's own.
    var isEpochInLedger = false
    var mode = Mode()

    init(traces: Int) {
        rows = Array(repeating: SimulatedRow(), count: traces)
        checkpoints = Array(repeating: 0, count: traces)
    }

    // MARK: - The fence

    mutating func insertPending(
        _ trace: Int, _ row: SimulatedRow, key: Int, _ breakage: Breakage?
    ) -> Fenced {
        // A unique index makes the second of two inserts wait for the first.
        if rows[trace].state == .open || hasEpochLock { return .blocked }
        guard rows[trace].state == .absent else { return .nothing }
        guard row.epoch == epoch || breakage == .epochUnchecked else { return .nothing }
        if key >= 0 {
            guard openClaims[key] < 0 else { return .blocked }
            guard isFree(key, breakage) else { return .nothing }
            openClaims[key] = trace
        }
        rows[trace] = row
        rows[trace].state = .open
        epochShares += 1
        return .open
    }

    mutating func endInsert(_ trace: Int, commits: Bool) {
        if commits { rows[trace].state = .pending } else { rows[trace] = SimulatedRow() }
        epochShares -= 1
        guard let key = openClaims.firstIndex(of: trace) else { return }
        if commits { claims[key] = trace }
        openClaims[key] = -1
    }

    /// Whether a key may be claimed.
    func isFree(_ key: Int, _ breakage: Breakage?) -> Bool {
        guard claims[key] >= 0 else { return true }
        let state = rows[claims[key]].state
        return state == .voided || (state == .committed && breakage == .claimReleasedThoughCommitted)
    }

    /// Whether a key stands for another request.
    func isTaken(_ key: Int, for trace: Int) -> Bool { key >= 0 && claims[key] >= 0 && claims[key] != trace }

    /// Whether a key that is about to be claimed has stood for another request.
    func isTakeOver(of key: Int) -> Bool { key >= 0 && claims[key] >= 0 }

    /// What stands under a key.
    func claim(_ key: Int) -> StandingClaim? {
        guard claims[key] >= 0 else { return nil }
        return StandingClaim(
            trace: SimulatedLedger.trace, isSameBody: true, status: standing(claims[key])?.status, answer: nil
        )
    }

    mutating func raiseHold(
        _ trace: Int, to amount: Int64, epoch imageEpoch: Int64, _ breakage: Breakage?
    ) -> Fenced {
        if rows[trace].openRaise > 0 || hasEpochLock { return .blocked }
        guard rows[trace].state == .pending else { return .nothing }
        guard imageEpoch == epoch || breakage == .extensionUnfenced else { return .nothing }
        rows[trace].openRaise = amount
        epochShares += 1
        return .open
    }

    mutating func endRaise(_ trace: Int, commits: Bool) {
        if commits { rows[trace].hold = max(rows[trace].hold, rows[trace].openRaise) }
        rows[trace].openRaise = 0
        epochShares -= 1
    }

    /// Waits, returning nil, while rows are being accepted.
    mutating func raiseEpoch(above seen: Int64) -> Int64? {
        guard epochShares == 0, !hasEpochLock else { return nil }
        epoch = max(epoch, seen) + 1
        isEpochInLedger = false
        return epoch
    }

    // MARK: - Rows

    /// Ends a pending row; nil while another database transaction has it locked, else whether it was pending.
    ///
    /// - Parameter task: Whether an after-commit task is written with it.
    mutating func end(_ trace: Int, as end: RowEnd, task: Bool, _ breakage: Breakage?) -> Bool? {
        guard rows[trace].openRaise == 0 else { return nil }
        guard rows[trace].state == .pending else { return false }
        rows[trace].state = end.status == .committed ? .committed : .voided
        rows[trace].charge = end.charge.nanodollars
        rows[trace].broughtTask = task
        if task, breakage != .chargeTaskApart { write(.event(trace: trace)) }
        return true
    }

    /// Puts a voided row under a trace that has none; false while an insert of it is open.
    mutating func bury(_ hold: HoldEnd) -> Bool {
        guard rows[hold.trace].state != .open else { return false }
        guard rows[hold.trace].state == .absent else { return true }
        rows[hold.trace] = SimulatedRow(
            state: .voided, epoch: hold.epoch, rseq: hold.rseq, hold: hold.amount, day: hold.day, owner: -1)
        return true
    }

    func standing(_ trace: Int) -> StandingRow? {
        let row = rows[trace]
        guard row.isVisible else { return nil }
        let status: TransactionStatus =
            row.state == .pending ? .pending : row.state == .committed ? .committed : .voided
        return StandingRow(
            trace: SimulatedLedger.trace, status: status, epoch: row.epoch, rseq: row.rseq,
            hold: Money(nanodollars: row.hold), charge: Money(nanodollars: row.charge), owner: "")
    }

    private static let trace = TraceID(lowestAtUnixMilliseconds: 0)

    // MARK: - The tenant

    var current: SimulatedLimits { limits[limits.count - 1] }

    var tenantStanding: TenantStanding {
        TenantStanding(
            epoch: epoch, creditSequence: Int64(credits.count), limitsVersion: current.version)
    }

    mutating func addCredit(
        _ externalID: Int, _ amount: Int64, _ breakage: Breakage? = nil
    ) -> CreditOutcome {
        for index in credits.indices where credits[index].externalID == externalID {
            return .repeated(sequence: Int64(index + 1))
        }
        credits.append(Credit(externalID: externalID, amount: amount))
        credited += amount
        if breakage != .creditTaskApart { write(.credit(sequence: Int64(credits.count))) }
        return .added(sequence: Int64(credits.count))
    }

    // MARK: - The outbox

    mutating func write(_ kind: SimulatedOutboxTask.Kind) {
        guard !tasks.contains(where: { $0.kind == kind }) else { return }
        tasks.append(SimulatedOutboxTask(kind: kind))
    }

    mutating func claimTasks(now: Int64, until end: Int64) -> [SimulatedOutboxTask.Kind] {
        var claimed: [SimulatedOutboxTask.Kind] = []
        for index in tasks.indices where tasks[index].claimedUntil <= now {
            tasks[index].claimedUntil = end
            claimed.append(tasks[index].kind)
        }
        return claimed
    }

    mutating func close(_ kind: SimulatedOutboxTask.Kind) {
        tasks.removeAll { $0.kind == kind }
    }

    func snapshot(in asked: Int32) -> SimulatedSnapshot {
        let snapshot = SimulatedSnapshot(traces: rows.count)
        var day = asked
        for row in rows where row.state == .pending || row.state == .committed { day = max(day, row.day) }
        snapshot.day = day
        snapshot.balance = credited
        snapshot.limits = current
        snapshot.creditSequence = Int64(credits.count)
        for trace in rows.indices {
            let row = rows[trace]
            guard row.state == .pending || row.state == .committed else { continue }
            if row.day == day { snapshot.dailyUsed += 1 }
            if row.day / 100 == day / 100 { snapshot.monthlyUsed += 1 }
            if row.state == .pending {
                snapshot.balance -= row.hold
                snapshot.holds[trace] = SimulatedHold(
                    isHeld: true, amount: row.hold, epoch: row.epoch, rseq: row.rseq, day: row.day)
            } else {
                snapshot.balance -= row.charge
            }
        }
        return snapshot
    }
}
