import Core
import Ledger
import Quota
import Threads

/// Makes the round trips of taking and of ending holds, each for many threads at once.
///
/// A thread waits once for both sides: whoever leads a batch takes all its holds in Redis and then inserts their rows in one
/// database transaction, or commits all its charges and then settles Redis. The two kinds go beside each other.
final class SettlementLanes: Sendable {
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

    private let taking: BatchLane<ReserveOrder, Taken>
    private let ending: BatchLane<Ending, Ended>

    /// Creates both lanes.
    ///
    /// - Parameters:
    ///   - batchMax: The most holds in one batch.
    ///   - waitingMax: The most threads that may wait in each.
    init(
        quota: QuotaStore, writer: LedgerWriter, crashPoints: CrashPoints, batchMax: Int = 512,
        waitingMax: Int = 16_384
    ) {
        taking = BatchLane(itemsMax: batchMax, waitingMax: waitingMax) { orders in
            SettlementLanes.take(orders, quota, writer, crashPoints)
        }
        ending = BatchLane(itemsMax: batchMax, waitingMax: waitingMax) { endings in
            SettlementLanes.end(endings, quota, writer, crashPoints)
        }
    }

    /// Takes a hold in Redis and inserts its row; nil when too many threads wait already, and then nothing was done.
    func take(_ order: ReserveOrder) -> Taken? { taking.submit(order) }

    /// Ends a hold's row and then settles Redis; nil when too many threads wait already, and then nothing was done.
    func end(_ hold: Hold, _ settlement: RowSettlement) -> Ended? {
        ending.submit(Ending(hold: hold, settlement: settlement))
    }

    private static func take(
        _ orders: [ReserveOrder], _ quota: QuotaStore, _ writer: LedgerWriter, _ crashPoints: CrashPoints
    ) -> [Taken] {
        let replies = quota.deduct(orders.map { HoldOrder($0) })
        var rows: [LedgerWriter.Write] = []
        for (order, reply) in zip(orders, replies) {
            guard case .success(.held(let held)) = reply else { continue }
            crashPoints.pass(.reserved)
            rows.append(.pending(PendingRow(order, held)))
        }
        var outcomes = writer.write(rows)[...]
        return replies.map { reply in
            guard case .success(.held) = reply else { return Taken(deducted: reply, inserted: nil) }
            return Taken(deducted: reply, inserted: outcomes.removeFirst())
        }
    }

    private static func end(
        _ endings: [Ending], _ quota: QuotaStore, _ writer: LedgerWriter, _ crashPoints: CrashPoints
    ) -> [Ended] {
        let outcomes = writer.write(endings.map { .settlement($0.settlement) })
        for _ in endings { crashPoints.pass(.committed) }
        var settlements: [HoldSettlement] = []
        for (ending, outcome) in zip(endings, outcomes) {
            if let (charge, status) = outcome.end(of: ending.settlement) {
                settlements.append(HoldSettlement(ending.hold, charge: charge, isVoided: status == .voided))
            }
        }
        var replies = quota.settle(settlements)[...]
        return zip(endings, outcomes).map { ending, outcome in
            let hasEnded = outcome.end(of: ending.settlement) != nil
            return Ended(written: outcome, settled: hasEnded ? replies.removeFirst() : nil)
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
