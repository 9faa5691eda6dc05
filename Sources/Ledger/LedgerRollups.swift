package import Core
package import Postgres

/// Where the sums of the ledger stand.
package struct RollupStep: Sendable, Equatable {
    /// Below it all rows are in the sums.
    package let watermark: TraceID
    /// How many rows this step added.
    package let rows: Int64
}

extension LedgerStore {
    /// Closes the time that is older than so many seconds: no row is inserted there any more.
    ///
    /// Waits for rows that are being inserted right now, and fails when that takes longer than two seconds.
    ///
    /// - Returns: The smallest trace id that may still be inserted.
    package func raiseFence(behindSeconds seconds: Int) throws(PostgresError) -> TraceID {
        let results = try database.transaction([
            (LedgerStatements.limitLockWait, []), (LedgerStatements.lockFence, []),
            (LedgerStatements.raiseFence, [.int(Int64(seconds))]),
        ])
        guard let rows = results.last, let fence = TraceID(rows.text(0, 0)) else {
            preconditionFailure("the migration made the fence")
        }
        return fence
    }

    /// Adds the rows below a trace id to the sums, up to the oldest that is still pending, and moves the watermark: both or none.
    ///
    /// - Parameter fence: Not above what ``raiseFence(behindSeconds:)`` returned.
    /// - Returns: What was done; nil when there was nothing to do, or the first row of all is still pending.
    package func rollUp(below fence: TraceID) throws(PostgresError) -> RollupStep? {
        let results = try database.transaction([
            (LedgerStatements.lockRollup, []), (LedgerStatements.rollUp, [.text(fence.description)]),
        ])
        guard let rows = results.last, rows.count == 1, let watermark = TraceID(rows.text(0, 0)) else {
            return nil
        }
        return RollupStep(watermark: watermark, rows: rows.int(0, 1))
    }

    /// What a roll-up of the time older than so many seconds would add, and whether a pending row would end it early.
    package func rollUpAhead(behindSeconds seconds: Int) throws(PostgresError) -> (
        RollupStep, isHeldBack: Bool
    ) {
        let rows = try database.query(LedgerStatements.countRollup, [.int(Int64(seconds))])
        guard let end = TraceID(rows.text(0, 1)) else {
            preconditionFailure("the migration made the watermarks")
        }
        return (RollupStep(watermark: end, rows: rows.int(0, 0)), rows.bool(0, 2))
    }

    /// The watermark below which all rows are in the sums.
    package func rollupWatermark() throws(PostgresError) -> TraceID {
        guard let watermark = try watermark(of: "rollup") else {
            preconditionFailure("the migration made the watermark")
        }
        return watermark
    }

    /// The oldest row of the ledger; nil while it is empty.
    ///
    /// Reads the whole ledger.
    package func oldestRow() throws(PostgresError) -> TraceID? {
        let rows = try database.query(LedgerStatements.readOldestRow, [])
        return rows.count == 1 ? TraceID(rows.text(0, 0)) : nil
    }
}

extension PostgresError {
    /// How PostgreSQL refuses a row below the fence.
    static let closedTime = "23001"
}
