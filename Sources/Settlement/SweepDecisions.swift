import Core
package import Ledger

/// What the sweeper does with a pending row.
package enum RowSweep: Sendable, Equatable {
    /// Its owner may still end it.
    case leave
    /// Nothing of it is known to have been delivered.
    case void
    /// It is charged for what its stream had delivered.
    case commit

    /// Decides about a row.
    package init(isOwnerDead: Bool, hasCheckpoint: Bool) {
        guard isOwnerDead else {
            self = .leave
            return
        }
        self = hasCheckpoint ? .commit : .void
    }
}

/// What the sweeper does with a hold in Redis, given what stands in the ledger under its trace.
package enum HoldSweep: Sendable, Equatable {
    /// Its request runs, or its row may still come.
    case leave
    /// Its row has ended so: give back the rest.
    case settle(RowEnd)
    /// No row will come from a living request: put a voided row under the trace first, and look again.
    case bury

    /// Decides about a hold.
    ///
    /// A row that was inserted with another hold says nothing of this one, which then was taken in vain: it gives back everything.
    ///
    /// - Parameters:
    ///   - row: What stood in the ledger after the hold was read; nil for nothing.
    ///   - epoch: The hold's epoch.
    ///   - rseq: The hold's number.
    package init(
        row: StandingRow?, epoch: Int64, rseq: Int64, ageMilliseconds: Int64, graceMilliseconds: Int64
    ) {
        if let row {
            let isItsRow = row.epoch == epoch && row.rseq == rseq
            self =
                RowEnd(row).map { .settle(isItsRow ? $0 : RowEnd(charge: .zero, status: .voided)) } ?? .leave
        } else {
            self = ageMilliseconds > graceMilliseconds ? .bury : .leave
        }
    }

    /// Decides about a hold under whose trace a voided row was just put, unless another row had come first.
    ///
    /// A committed one is left to its owner, which has only just ended it, or to the next sweep. No row at all stands where time is
    /// closed, and none can come there.
    package init(buried row: StandingRow?) {
        switch row?.status {
        case .voided, nil: self = .settle(RowEnd(charge: .zero, status: .voided))
        case .pending, .committed: self = .leave
        }
    }
}
