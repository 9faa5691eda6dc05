package import Core
package import Ledger
import Quota

/// How a billing transaction ended: committed or voided, and what it charged.
package struct RowEnd: Sendable, Equatable {
    /// What was charged; zero when voided.
    package let charge: Money
    /// Committed or voided.
    package let status: TransactionStatus

    /// Creates an end.
    package init(charge: Money, status: TransactionStatus) {
        self.charge = charge
        self.status = status
    }

    /// The end that a settlement asks for.
    package init(_ settlement: RowSettlement) {
        self.init(charge: settlement.charge, status: settlement.status)
    }

    /// The end of the row that stands; nil while it is pending, or when there is none.
    package init?(_ row: StandingRow?) {
        guard let row, row.status != .pending else { return nil }
        self.init(charge: row.charge, status: row.status)
    }

    /// How the ledger says that the row has ended, as wanted or otherwise; nil when it does not say so.
    package init?(_ outcome: LedgerWriter.Outcome, wanted: RowEnd) {
        switch outcome {
        case .written: self = wanted
        case .standing(let row): self.init(charge: row.charge, status: row.status)
        case .fenced, .keyTaken, .failed, .unknown: return nil
        }
    }
}

extension HoldSettlement {
    /// The settlement of a hold, as its row ended.
    ///
    /// - Parameter tokens: What it has used, for the limit of its minute.
    init(_ hold: Hold, _ end: RowEnd, tokens: Int64) {
        self.init(
            tenant: hold.tenant, trace: hold.trace, epoch: hold.held.epoch, rseq: hold.held.rseq,
            charge: end.charge, isVoided: end.status == .voided, tokens: tokens)
    }
}

extension SettleReply {
    /// The balance afterwards; nil when there is no image.
    var balance: Money? {
        switch self {
        case .settled(let balance), .gone(let balance): balance
        case .missing: nil
        }
    }
}
