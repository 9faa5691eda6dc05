import Core
import Ledger
import Quota
import Threads

/// Makes the round trips of taking and of ending holds, for many threads at once.
///
/// A thread waits once for both stores. Whoever leads a batch takes its new holds in Redis; inserts their rows and commits the
/// charges of those that end in one database transaction; and then, while the next batch goes on, settles the latter in Redis.
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

    /// One hold that ends, and how its row shall.
    struct Ending: Sendable {
        let hold: Hold
        let settlement: RowSettlement
    }

    private enum Work: Sendable {
        case take(ReserveOrder)
        case end(Ending)
    }

    private enum Done: Sendable {
        case taken(Taken)
        case ended(Ended)
    }

    private typealias Lane = BatchLane<Work, Done>

    private let lane: Lane

    /// Creates the lane.
    ///
    /// - Parameters:
    ///   - batchMax: The most holds in one batch.
    ///   - waitingMax: The most threads that may wait.
    init(
        quota: QuotaStore, writer: LedgerWriter, crashPoints: CrashPoints, batchMax: Int = 512,
        waitingMax: Int = 16_384
    ) {
        lane = Lane(itemsMax: batchMax, waitingMax: waitingMax) { batch in
            SettlementLane.run(&batch, quota, writer, crashPoints)
        }
    }

    /// Takes a hold in Redis and inserts its row; nil when too many threads wait already, and then nothing was done.
    func take(_ order: ReserveOrder) -> Taken? {
        guard case .taken(let taken)? = lane.submit(.take(order)) else { return nil }
        return taken
    }

    /// Ends a hold's row and then settles Redis; nil when too many threads wait already, and then nothing was done.
    func end(_ hold: Hold, _ settlement: RowSettlement) -> Ended? {
        let ending = Ending(hold: hold, settlement: settlement)
        guard case .ended(let ended)? = lane.submit(.end(ending)) else { return nil }
        return ended
    }

    private static func run(
        _ batch: inout Lane.Batch, _ quota: QuotaStore, _ writer: LedgerWriter, _ crashPoints: CrashPoints
    ) {
        var orders: [(index: Int, order: ReserveOrder)] = []
        var endings: [(index: Int, ending: Ending)] = []
        for index in 0..<batch.count {
            switch batch[index] {
            case .take(let order): orders.append((index, order))
            case .end(let ending): endings.append((index, ending))
            }
        }
        let replies = orders.isEmpty ? [] : quota.deduct(orders.map { HoldOrder($0.order) })
        var rows: [LedgerWriter.Write] = []
        for ((_, order), reply) in zip(orders, replies) {
            guard case .success(.held(let held)) = reply else { continue }
            crashPoints.pass(.reserved)
            rows.append(.pending(PendingRow(order, held)))
        }
        let pendingCount = rows.count
        rows += endings.map { .settlement($0.ending.settlement) }
        let outcomes = writer.write(rows)
        batch.passLead()
        for _ in endings { crashPoints.pass(.committed) }

        var inserted = outcomes[..<pendingCount]
        for ((index, _), reply) in zip(orders, replies) {
            var isHeld = false
            if case .success(.held) = reply { isHeld = true }
            batch.answer(
                index, .taken(Taken(deducted: reply, inserted: isHeld ? inserted.removeFirst() : nil)))
        }
        settle(endings, outcomes[pendingCount...], quota, batch)
    }

    private static func settle(
        _ endings: [(index: Int, ending: Ending)], _ outcomes: ArraySlice<LedgerWriter.Outcome>,
        _ quota: QuotaStore, _ batch: borrowing Lane.Batch
    ) {
        var settlements: [HoldSettlement] = []
        for ((_, ending), outcome) in zip(endings, outcomes) {
            if let (charge, status) = outcome.end(of: ending.settlement) {
                settlements.append(HoldSettlement(ending.hold, charge: charge, isVoided: status == .voided))
            }
        }
        var replies = settlements.isEmpty ? [] : quota.settle(settlements)[...]
        for ((index, ending), outcome) in zip(endings, outcomes) {
            let hasEnded = outcome.end(of: ending.settlement) != nil
            batch.answer(
                index, .ended(Ended(written: outcome, settled: hasEnded ? replies.removeFirst() : nil)))
        }
    }
}

extension LedgerWriter.Outcome {
    /// How the ledger says that the row has ended, as asked or otherwise; nil when it does not say so.
    func end(of settlement: RowSettlement) -> (charge: Money, status: TransactionStatus)? {
        switch self {
        case .written: (settlement.charge, settlement.status)
        case .standing(let row): (row.charge, row.status)
        case .fenced, .failed, .unknown: nil
        }
    }
}

extension HoldOrder {
    fileprivate init(_ order: ReserveOrder) {
        self.init(
            tenant: order.tenant, trace: order.trace, key: order.key, amount: order.amount,
            period: order.period)
    }
}

extension PendingRow {
    fileprivate init(_ order: ReserveOrder, _ held: HeldAmount) {
        self.init(
            tenant: order.tenant, trace: order.trace, key: order.key, epoch: held.epoch, rseq: held.rseq,
            period: held.period, hold: order.amount, limitsVersion: held.limitsVersion,
            balanceBefore: held.balanceBefore, balanceAfter: held.balanceAfter,
            deadlineMilliseconds: order.deadlineMilliseconds, capability: order.capability,
            model: order.model, isStream: order.isStream)
    }
}

extension HoldSettlement {
    /// The settlement of a hold, as its row ended.
    init(_ hold: Hold, charge: Money, isVoided: Bool) {
        self.init(
            tenant: hold.tenant, trace: hold.trace, epoch: hold.held.epoch, rseq: hold.held.rseq,
            charge: charge, isVoided: isVoided)
    }
}
