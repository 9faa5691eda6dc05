package import Postgres

/// What was made ahead and removed; never a row of money.
package struct PruneSummary: Sendable, Equatable {
    /// Partitions made for the months ahead.
    package var partitions: Int64 = 0
    /// Checkpoints removed, of streams that have ended.
    package var checkpoints = 0
    /// Owners removed that have been dead for a day.
    package var owners = 0
    /// Lives of Redis removed that nobody has met for long.
    package var incarnations: Int64 = 0
    /// Idempotency keys removed that have expired, their answers with them.
    package var keys = 0
    /// Warnings removed that were kept so that they are not given again, of times that have long ended.
    package var warnings = 0

    /// Creates a summary.
    package init(
        partitions: Int64 = 0, checkpoints: Int = 0, owners: Int = 0, incarnations: Int64 = 0, keys: Int = 0,
        warnings: Int = 0
    ) {
        self.partitions = partitions
        self.checkpoints = checkpoints
        self.owners = owners
        self.incarnations = incarnations
        self.keys = keys
        self.warnings = warnings
    }

    /// Prunes statement by statement.
    fileprivate init(
        incarnationDays: Int, _ query: (Statement, [PostgresValue]) throws(PostgresError) -> Rows
    ) throws(PostgresError) {
        checkpoints = try query(LedgerStatements.removeOldCheckpoints, []).affectedRows
        owners = try query(LedgerStatements.removeOldOwners, []).affectedRows
        incarnations = try query(LedgerStatements.removeOldIncarnations, [.int(Int64(incarnationDays))]).int(
            0, 0)
        keys = try query(LedgerStatements.removeExpiredKeys, []).affectedRows
        _ = try query(LedgerStatements.removeExpiredAnswers, [])
        warnings = try query(LedgerStatements.removeOldTasks, []).affectedRows
        // Last: in a database transaction nobody inserts rows until that ends.
        partitions = try query(LedgerStatements.makePartitions, []).int(0, 0)
    }
}

extension LedgerStore {
    /// Makes room ahead, and removes what nobody needs any more.
    ///
    /// - Parameters:
    ///   - days: After how many days without being met a life of Redis is forgotten.
    ///   - isDryRun: All of it is taken back: only the counts are wanted.
    package func prune(incarnationDays days: Int, isDryRun: Bool = false) throws(PostgresError)
        -> PruneSummary
    {
        guard isDryRun else {
            return try PruneSummary(incarnationDays: days) { statement, values throws(PostgresError) in
                try database.query(statement, values)
            }
        }
        let transaction = try database.begin()
        let summary = try PruneSummary(incarnationDays: days) { statement, values throws(PostgresError) in
            try transaction.query(statement, values)
        }
        transaction.rollBack()
        return summary
    }
}
