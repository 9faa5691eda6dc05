package import Core
package import Ledger
import Postgres

/// Adds ended rows to `ledger_rollups` and `usage_hourly`, and moves the watermark behind which nothing changes any more.
///
/// Each step is one database transaction, so it may be stopped and repeated at any moment: a row is added once.
package struct RollupJob: Sendable {
    /// What one run did.
    package struct Summary: Sendable, Equatable {
        /// Rows added.
        package var rows: Int64 = 0
        /// Database transactions that added some.
        package var steps = 0
        /// Below it all rows are in the sums.
        package var watermark: TraceID
        /// Whether a row that is still pending keeps the watermark back.
        package var isHeldBack = false
    }

    private let ledger: LedgerStore
    private let behindSeconds: Int
    private let stepMilliseconds: Int64

    /// Creates the job.
    ///
    /// - Parameters:
    ///   - ledger: Over connections with time for long statements.
    ///   - behindSeconds: How old rows must be. A host whose clock is further behind PostgreSQL's cannot insert any.
    ///   - stepMilliseconds: How much time one step takes in.
    package init(ledger: LedgerStore, behindSeconds: Int, stepMilliseconds: Int64 = 3_600_000) {
        self.ledger = ledger
        self.behindSeconds = behindSeconds
        self.stepMilliseconds = stepMilliseconds
    }

    /// Says what ``run()`` would do, and changes nothing.
    package func dryRun() throws(JobError) -> Summary {
        try JobError.database { () throws(PostgresError) in
            let (step, isHeldBack) = try ledger.rollUpAhead(behindSeconds: behindSeconds)
            return Summary(rows: step.rows, watermark: step.watermark, isHeldBack: isHeldBack)
        }
    }

    /// Rolls up once.
    package func run() throws(JobError) -> Summary {
        try JobError.database { () throws(PostgresError) in
            let fence = try ledger.raiseFence(behindSeconds: behindSeconds)
            var summary = Summary(watermark: try ledger.rollupWatermark())
            var position = summary.watermark
            if position.unixMilliseconds == 0 {
                // The first time. Without a row there is nothing to add, and one step takes it all.
                position = try ledger.oldestRow() ?? fence
            }
            while summary.watermark < fence, !summary.isHeldBack {
                let next = (position.unixMilliseconds / stepMilliseconds + 1) * stepMilliseconds
                let target = min(fence, TraceID(lowestAtUnixMilliseconds: next))
                let step = try ledger.rollUp(below: target)
                summary.rows += step?.rows ?? 0
                summary.steps += step.map { $0.rows > 0 ? 1 : 0 } ?? 0
                summary.watermark = step?.watermark ?? summary.watermark
                summary.isHeldBack = summary.watermark < target
                position = target
            }
            return summary
        }
    }
}
