import Core
import Ledger
import Quota
import Threads

/// Takes and ends holds for many threads at once, in turns, on a thread of its own.
///
/// A turn makes one round trip to each store: one to Redis, which settles the holds whose rows the turn before has ended and takes
/// the new ones; then one database transaction, which inserts the rows of those taken and commits the charges of those that end.
/// What came of a store's trip is told while the next trip is under way, so that the stores do not have to wait for the processor
/// behind everybody whom that wakes. While a turn runs the next one gathers.
final class SettlementLane: Sendable {
    /// What became of taking one hold.
    struct Taken: Sendable {
        let deducted: Result<DeductReply, QuotaError>
        /// What became of its row; nil when nothing is held.
        let inserted: LedgerWriter.Outcome?
    }

    /// What became of ending one hold.
    struct Ended: Sendable {
        let written: LedgerWriter.Outcome
        /// What became of its settlement in Redis; nil when the ledger does not say that the row has ended.
        let settled: Result<SettleReply, QuotaError>?
    }

    private let queue: SettlementQueue
    private let thread: WorkerThread?

    /// Creates the lane and starts its thread; without one, everything is refused.
    ///
    /// - Parameters:
    ///   - batchMax: The most holds in one turn.
    ///   - waitingMax: The most threads that may wait.
    init(
        quota: QuotaStore, writer: LedgerWriter, mode: DatabaseMode? = nil, crashPoints: CrashPoints,
        times: TripTimes = .untold,
        batchMax: Int = 512, waitingMax: Int = 16_384
    ) {
        let queue = SettlementQueue(batchMax: batchMax, waitingMax: waitingMax)
        self.queue = queue
        // Without a thread the queue is closed, and every request is told.
        thread = try? WorkerThread(name: "settlement") {
            var turns = SettlementTurns(
                quota: quota, writer: writer, mode: mode, crashPoints: crashPoints, times: times)
            while let tickets = queue.take(waits: turns.isIdle) { turns.run(tickets) }
        }
        if thread == nil { queue.close() }
    }

    deinit {
        queue.close()
        thread?.join()
    }

    /// Takes a hold in Redis and inserts its row; nil when too many threads wait already, and then nothing was done.
    func take(_ order: ReserveOrder) -> Taken? {
        let ticket = SettlementTicket(.take(order))
        guard queue.submit(ticket), case .taken(let taken)? = ticket.outcome else { return nil }
        return taken
    }

    /// Takes a hold in the ledger itself; nil when too many threads wait already, and then nothing was done.
    func takeInLedger(_ order: ReserveOrder) -> TakenInLedger? {
        let ticket = SettlementTicket(.takeInLedger(order))
        guard queue.submit(ticket), case .takenInLedger(let taken)? = ticket.outcome else { return nil }
        return taken
    }

    /// Ends a hold's row and then settles Redis; nil when too many threads wait already, and then nothing was done.
    func end(_ hold: Hold, _ settlement: RowSettlement) -> Ended? {
        let ticket = SettlementTicket(.end(hold, settlement))
        guard queue.submit(ticket), case .ended(let ended)? = ticket.outcome else { return nil }
        return ended
    }
}
