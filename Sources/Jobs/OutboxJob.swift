package import Core
package import Ledger
import Postgres
package import Settlement

/// Does the after-commit tasks that are due: those of processes that have died, and those that have failed before.
///
/// Any number may run at the same time, beside any number of gateways: each claims its own.
package struct OutboxJob: Sendable {
    /// What one run did, and how the outbox stands after it.
    package struct Summary: Sendable, Equatable {
        /// What it did.
        package var run = OutboxRunner.Summary()
        /// Tasks that were given up and are due once more.
        package var revived = 0
        /// How the outbox stands.
        package var figures: OutboxFigures

        /// What Prometheus is told.
        package var metrics: [JobMetric] {
            [
                JobMetric("tollgate_outbox_oldest_seconds", figures.oldestSeconds),
                JobMetric("tollgate_outbox_open", figures.open),
                JobMetric("tollgate_outbox_dead", figures.dead),
            ]
        }
    }

    private let outbox: OutboxStore
    private let runner: OutboxRunner

    /// Creates the job.
    package init(outbox: OutboxStore, runner: OutboxRunner) {
        self.outbox = outbox
        self.runner = runner
    }

    /// Does what is due.
    ///
    /// - Parameters:
    ///   - tenant: Whose tasks; nil for all.
    ///   - revives: Whether tasks that were given up are tried once more.
    package func run(of tenant: TenantID? = nil, revives: Bool = false) throws(JobError) -> Summary {
        try JobError.database { () throws(PostgresError) in
            let revived = revives ? try outbox.revive(of: tenant) : 0
            let run = try runner.run(of: tenant)
            return Summary(run: run, revived: revived, figures: try outbox.figures(of: tenant))
        }
    }
}
