package import Core
package import Ledger
import Postgres
import Quota
package import Settlement
import Threads

/// Checks the books of all tenants while requests run: invariants I2, I5, I6, I7 and I19.
package struct ConsistencyJob: Sendable {
    /// What one check found.
    package struct Summary: Sendable {
        /// Tenants whose image was compared with the ledger.
        package var compared = 0
        /// Tenants without an image: their next request reads the ledger.
        package var notLoaded = 0
        /// Tenants whose two sides differ.
        package var differing: [ReconciledTenant] = []
        /// Holds in Redis.
        package var holds = 0
        /// Since when the oldest hold is held, in Unix milliseconds; nil when there is none.
        package var oldestHoldMilliseconds: Int64?
        /// Charges that were computed again.
        package var charges: Int64 = 0
        /// Rolled-up rows that were summed up again.
        package var rows: Int64 = 0
        /// Everything else that is wrong, in words.
        package var problems: [String] = []

        /// Whether nothing is wrong.
        package var isExact: Bool { differing.isEmpty && problems.isEmpty }

        /// All differences of money together, whatever their sign.
        package var drift: Money {
            differing.reduce(.zero) { $0 + Money(nanodollars: abs($1.drift.nanodollars)) }
        }
    }

    private let reconciler: Reconciler
    private let ledger: LedgerStore
    private let audit: LedgerAudit
    private let stepTenants: Int
    private let chargesMax: Int
    private let chargesSeconds: Int64

    /// Creates the job.
    ///
    /// - Parameters:
    ///   - stepTenants: How many tenants are compared at a time.
    ///   - chargesMax: The most charges that are computed again.
    ///   - chargesSeconds: How far back.
    package init(
        reconciler: Reconciler, ledger: LedgerStore, audit: LedgerAudit, stepTenants: Int = 1_000,
        chargesMax: Int = 200_000, chargesSeconds: Int64 = 7_200
    ) {
        self.reconciler = reconciler
        self.ledger = ledger
        self.audit = audit
        self.stepTenants = stepTenants
        self.chargesMax = chargesMax
        self.chargesSeconds = chargesSeconds
    }

    /// Compares the two sides of one tenant's books.
    package func run(only tenant: TenantID) throws(JobError) -> Summary {
        var summary = Summary()
        try compare([tenant], &summary)
        return summary
    }

    /// Compares the two sides of all tenants' books, and looks whether the ledger agrees with itself.
    package func run() throws(JobError) -> Summary {
        var summary = Summary()
        var last = ""
        while true {
            let tenants = try JobError.database { () throws(PostgresError) in
                try audit.tenants(after: last, countMax: stepTenants)
            }
            guard let end = tenants.last else { break }
            last = end.description
            try compare(tenants, &summary)
        }
        try JobError.database { () throws(PostgresError) in try checkLedger(&summary) }
        return summary
    }

    private func compare(_ tenants: [TenantID], _ summary: inout Summary) throws(JobError) {
        let step: Reconciler.Step
        do throws(ReconcileError) { step = try reconciler.compare(tenants) } catch { throw JobError(error) }
        summary.compared += step.tenants.count
        summary.notLoaded += step.notLoaded
        summary.differing += step.tenants.filter { !$0.isExact }
        summary.problems += step.failures.map { "\($0.tenant): \($0.reason)" }
        for tenant in step.tenants {
            summary.holds += tenant.image.holds.count
            let moments = tenant.image.holds.map(\.trace.unixMilliseconds)
            guard let oldest = moments.min() else { continue }
            summary.oldestHoldMilliseconds = min(oldest, summary.oldestHoldMilliseconds ?? oldest)
        }
    }

    private func checkLedger(_ summary: inout Summary) throws(PostgresError) {
        summary.problems += try audit.missingGuards()

        let since = WallClock.unixMilliseconds - chargesSeconds * 1_000
        let charges = try audit.wrongCharges(
            since: TraceID(lowestAtUnixMilliseconds: since), countMax: chargesMax)
        summary.charges = charges.count
        summary.problems += charges.wrong.map { wrong in
            let expected = wrong.expected.map { "its usage costs $\($0)" } ?? "it names no price"
            return "\(wrong.tenant): \(wrong.trace) was charged $\(wrong.charge), but \(expected)"
        }

        let hours = try audit.changedHours(below: try ledger.rollupWatermark(), othersMax: 2)
        summary.rows = hours.rows
        summary.problems += hours.hours.map { hour in
            "the rows of the hour that began at \(hour) (Unix seconds) are not those that were rolled up"
        }

        let house = try audit.houseDifference()
        if !house.isExact {
            summary.problems.append(
                "charges rolled up by key are not those by the hour: $\(house.difference) more")
        }
    }
}

extension ConsistencyJob.Summary {
    /// How long the oldest hold has been held; 0 when there is none.
    package var oldestHoldSeconds: Int64 {
        oldestHoldMilliseconds.map { max(0, (WallClock.unixMilliseconds - $0) / 1_000) } ?? 0
    }

    /// What Prometheus is told.
    package var metrics: [JobMetric] {
        [
            JobMetric("tollgate_ledger_drift_sum_nanodollars", drift.nanodollars),
            JobMetric("tollgate_ledger_problems", Int64(problems.count + differing.count)),
            JobMetric("tollgate_ledger_tenants_compared", Int64(compared)),
            JobMetric("tollgate_holds_oldest_seconds", oldestHoldSeconds),
        ]
            + differing.map {
                JobMetric(
                    "tollgate_ledger_drift_nanodollars", labels: [("tenant", $0.tenant.description)],
                    $0.drift.nanodollars)
            }
    }
}

extension JobError {
    init(_ error: ReconcileError) {
        switch error {
        case .ledger(let reason): self = .database(reason)
        case .redis(let reason): self = .redis(reason)
        }
    }
}
