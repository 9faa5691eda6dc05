import Core
package import Ledger
import Postgres
package import Quota
package import Threads

/// Ends what could not be ended in time: the client has gone, the money has not.
///
/// One thread tries again with growing pauses. The queue is bounded: beyond it the row stays pending, and the sweeper ends it when this
/// process is gone. Draining waits for the queue.
package final class SettlementRetries: Sendable {
    private enum Task: Sendable {
        case ledger(Hold, RowSettlement)
        case image(HoldSettlement)
    }

    private struct State {
        var tasks: [Task] = []
        var isRunning = false
        var failedAt: Deadline?
        var isStopped = false
    }

    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let writer: LedgerWriter
    private let mode: DatabaseMode?
    private let credits: CreditWriter
    private let tasksMax: Int
    private let state = Locked(State())
    private let work = Signal()

    /// Creates the queue.
    ///
    /// - Parameters:
    ///   - mode: The mode of the installation; nil where reservations are made in Redis and nowhere else.
    ///   - tasksMax: The most settlements it keeps.
    package init(
        quota: QuotaStore, ledger: LedgerStore, writer: LedgerWriter, builder: ImageBuilder,
        mode: DatabaseMode? = nil, tasksMax: Int = 100_000
    ) {
        self.quota = quota
        self.ledger = ledger
        self.writer = writer
        self.mode = mode
        credits = CreditWriter(quota: quota, ledger: ledger, builder: builder)
        self.tasksMax = tasksMax
    }

    /// How many settlements wait.
    package var count: Int { state.withLock { $0.tasks.count } }

    /// Whether the last commit failed less than a second ago: then nothing new is reserved.
    package var isLedgerFailing: Bool {
        state.withLock { state in
            guard let failedAt = state.failedAt else { return false }
            return failedAt.advanced(milliseconds: 1_000) > .now
        }
    }

    /// Notes whether the ledger takes writes.
    package func noteLedger(_ outcome: LedgerWriter.Outcome) {
        switch outcome {
        case .failed(let error) where !error.isAboutTheServer: break
        case .failed, .unknown: state.withLock { $0.failedAt = .now }
        case .written, .standing, .fenced, .keyTaken:
            // Only a failure is written down, so the ordinary path takes the lock and nothing else.
            state.withLock { if $0.failedAt != nil { $0.failedAt = nil } }
        }
    }

    /// Queues the end of a row.
    package func enqueue(_ hold: Hold, _ settlement: RowSettlement) {
        append(.ledger(hold, settlement))
    }

    /// Queues the settlement of an image.
    package func enqueueImage(_ settlement: HoldSettlement) {
        append(.image(settlement))
    }

    private func append(_ task: Task) {
        state.withLock { state in
            if state.tasks.count < tasksMax { state.tasks.append(task) }
        }
        work.wake()
    }

    /// Starts the thread that works the queue off.
    package func start() throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "settle-retry", isDetached: true) { self.run() }
    }

    /// Waits until the queue is empty or the deadline passes; true when it is empty.
    package func drain(until deadline: Deadline) -> Bool {
        let pause = Signal()
        while count > 0, !deadline.isPast { _ = pause.wait(until: .after(milliseconds: 20)) }
        return count == 0
    }

    private func run() {
        var pauseMilliseconds = 100
        // Not `work`, which every new task wakes: a ledger that is down would then be asked without a pause.
        let pause = Signal()
        while true {
            work.wait()
            while let task = state.withLock({ $0.tasks.first }) {
                if isDone(task) {
                    state.withLock { _ = $0.tasks.removeFirst() }
                    pauseMilliseconds = 100
                } else {
                    // The first may be stuck for a reason of its own: let the others pass.
                    state.withLock { $0.tasks.append($0.tasks.removeFirst()) }
                    _ = pause.wait(until: .after(milliseconds: pauseMilliseconds))
                    pauseMilliseconds = min(pauseMilliseconds * 2, 5_000)
                }
            }
        }
    }

    private func isDone(_ task: Task) -> Bool {
        switch task {
        case .image(let settlement): return isSettled(settlement)
        case .ledger(let hold, let settlement): return isDone(hold, settlement)
        }
    }

    private func isDone(_ hold: Hold, _ settlement: RowSettlement) -> Bool {
        var machine = RetryMachine(wanted: RowEnd(settlement))
        var event = RetryMachine.Event.begin
        while true {
            switch machine.next(after: event) {
            case .endRow:
                let outcome = writer.write(.settlement(settlement))
                noteLedger(outcome)
                event = .written(outcome)
            case .bury: event = isBuried(hold) ? .buried : .failed
            case .refund(let charge): event = refund(charge, of: hold)
            case .settleImage(let end):
                event =
                    isSettled(HoldSettlement(hold, end, tokens: settlement.usage.total))
                    ? .imageSettled : .imageFailed
            case .queueImage(let end):
                append(.image(HoldSettlement(hold, end, tokens: settlement.usage.total)))
                event = .queued
            case .finish: return true
            case .putBack: return false
            }
        }
    }

    private func refund(_ charge: Money, of hold: Hold) -> RetryMachine.Event {
        do throws(SettlementError) {
            return .refunded(
                try credits.add(
                    charge, to: hold.tenant, kind: "refund", externalID: "refund:\(hold.trace)",
                    period: hold.held.period))
        } catch {
            // PostgreSQL or Redis does not answer: both steps may be repeated.
            return .failed
        }
    }

    private func isBuried(_ hold: Hold) -> Bool {
        do throws(PostgresError) {
            try ledger.insertTombstone(
                tenant: hold.tenant, trace: hold.trace, key: nil, epoch: hold.held.epoch,
                rseq: hold.held.rseq, period: hold.held.period, hold: hold.amount)
            return true
        } catch {
            return false
        }
    }

    private func isSettled(_ settlement: HoldSettlement) -> Bool {
        // No image from before is ever used again, and those that come are made of the ended row.
        if mode?.side == .ledger { return true }
        do throws(QuotaError) {
            _ = try quota.settle(settlement)
            return true
        } catch {
            return false
        }
    }
}

extension PostgresError {
    /// Whether it is the server that fails, rather than one row that it refuses.
    fileprivate var isAboutTheServer: Bool {
        switch self {
        case .unreachable, .connectionLost, .timeout: true
        case .poolExhausted, .invalidValue: false
        case .server(let sqlState, _, _):
            // Connection, read-only, resources, operator intervention, system error.
            ["08", "25", "53", "57", "58"].contains(String(sqlState.prefix(2)))
        }
    }
}
