import Core
import Ledger
import Threads

/// What one thread wants of the settlement lane, and what became of it.
final class SettlementTicket: @unchecked Sendable {
    // `outcome` is written by the lane's thread before it wakes the owner, who reads it after its wait.

    /// What is wanted.
    enum Work: Sendable {
        case take(ReserveOrder)
        case takeInLedger(ReserveOrder)
        case end(Hold, RowSettlement)
    }

    enum Outcome: Sendable {
        case taken(SettlementLane.Taken)
        case takenInLedger(TakenInLedger)
        case ended(SettlementLane.Ended)
    }

    let work: Work
    private(set) var outcome: Outcome?
    private let signal = Signal()

    init(_ work: Work) {
        self.work = work
    }

    /// Gives the owner the outcome; once.
    func answer(_ outcome: Outcome) {
        self.outcome = outcome
        signal.wake()
    }

    fileprivate func wait() { signal.wait() }
}

/// Who waits for the settlement lane.
final class SettlementQueue: Sendable {
    private struct State {
        var waiting: [SettlementTicket] = []
        /// Whether the lane's thread waits for work.
        var isThreadWaiting = false
        var isClosed = false
    }

    private let state = Locked(State())
    private let work = Signal()
    private let batchMax: Int
    private let waitingMax: Int

    init(batchMax: Int, waitingMax: Int) {
        precondition(batchMax > 0 && waitingMax > 0)
        self.batchMax = batchMax
        self.waitingMax = waitingMax
    }

    /// How many wait for the next turn.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Queues a ticket and waits until it is answered; false when too many wait already or the lane is closed.
    func submit(_ ticket: SettlementTicket) -> Bool {
        let (isAccepted, wakes): (Bool, Bool) = state.withLock { state in
            guard state.waiting.count < waitingMax, !state.isClosed else { return (false, false) }
            state.waiting.append(ticket)
            defer { state.isThreadWaiting = false }
            return (true, state.isThreadWaiting)
        }
        guard isAccepted else { return false }
        if wakes { work.wake() }
        ticket.wait()
        return true
    }

    /// The tickets of the next turn, in the order of their arrival; nil when the lane is closed and nobody waits.
    ///
    /// - Parameter waits: Whether to wait for one; otherwise there may be none.
    func take(waits: Bool) -> [SettlementTicket]? {
        while true {
            let (taken, isOver): ([SettlementTicket], Bool) = state.withLock { state in
                let taken = Array(state.waiting.prefix(batchMax))
                state.waiting.removeFirst(taken.count)
                state.isThreadWaiting = taken.isEmpty && waits && !state.isClosed
                return (taken, taken.isEmpty && waits && state.isClosed)
            }
            if !taken.isEmpty || !waits { return taken }
            if isOver { return nil }
            work.wait()
        }
    }

    /// Refuses what comes from now on, and lets the thread end when it has answered everybody.
    func close() {
        let wakes = state.withLock { state in
            state.isClosed = true
            defer { state.isThreadWaiting = false }
            return state.isThreadWaiting
        }
        if wakes { work.wake() }
    }
}
