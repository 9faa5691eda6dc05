package import Ledger
import Postgres

/// Makes room ahead, and removes what nobody needs any more; never a row of money.
package struct PruneJob: Sendable {
    /// What one run did.
    package struct Summary: Sendable, Equatable {
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
        /// Budget warnings removed of days and months that ended long ago.
        package var warnings = 0
    }

    private let ledger: LedgerStore
    private let incarnationDays: Int

    /// Creates the job.
    ///
    /// The life of Redis that runs must have been registered just before: an image keeps its number as long as it stands.
    ///
    /// - Parameter incarnationDays: After how many days without being met a life of Redis is forgotten.
    package init(ledger: LedgerStore, incarnationDays: Int = 90) {
        self.ledger = ledger
        self.incarnationDays = incarnationDays
    }

    /// Prunes once.
    package func run() throws(JobError) -> Summary {
        try JobError.database { () throws(PostgresError) in
            var summary = Summary(partitions: try ledger.makePartitions())
            (summary.checkpoints, summary.owners) = try ledger.removeLeftovers()
            summary.warnings = try OutboxStore(database: ledger.database).removeOld()
            summary.incarnations = try ledger.removeIncarnations(olderThanDays: incarnationDays)
            summary.keys = try ledger.removeExpiredKeys()
            return summary
        }
    }
}
