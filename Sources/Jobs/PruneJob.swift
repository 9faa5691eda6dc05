package import Ledger
import Postgres

/// Makes room ahead, and removes what nobody needs any more; never a row of money.
package struct PruneJob: Sendable {
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
    ///
    /// - Parameter isDryRun: Only counts what would be done.
    package func run(isDryRun: Bool = false) throws(JobError) -> PruneSummary {
        try JobError.database { () throws(PostgresError) in
            try ledger.prune(incarnationDays: incarnationDays, isDryRun: isDryRun)
        }
    }
}
