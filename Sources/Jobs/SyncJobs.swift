package import Core
package import Ledger
import Postgres
package import Quota
package import Settlement

/// Which tenants a job that copies from Redis looks at.
package enum SyncScope: Sendable, Equatable {
    /// Those that have changed since the last run.
    case changed
    /// All.
    case all
    /// One.
    case only(TenantID)
}

/// What a job that copies from Redis did.
package struct SyncSummary: Sendable, Equatable {
    /// Stored.
    package var success = 0
    /// Could not be read or stored.
    package var failure = 0
    /// Redis has nothing of it.
    package var absent = 0
    /// Why the first that failed did.
    package var firstFailure: String?
    /// Tenants whose two sides differ, and how, in words.
    package var differences: [String] = []
    /// The differences of money, whatever their sign.
    package var unexplained = Money.zero

    /// Creates a summary.
    package init(success: Int = 0, failure: Int = 0, absent: Int = 0) {
        self.success = success
        self.failure = failure
        self.absent = absent
    }

    /// How much money may differ before somebody is called: a dollar.
    package static let alarmAbove = Money(nanodollars: 1_000_000_000)

    /// Whether more money differs than may.
    package var isAlarming: Bool { unexplained > Self.alarmAbove }

    /// All that were looked at.
    package var total: Int { success + failure + absent }

    /// What Prometheus is told.
    package func metrics(of job: String) -> [JobMetric] {
        [
            JobMetric("tollgate_sync_failures", labels: [("job", job)], Int64(failure)),
            JobMetric("tollgate_sync_differences", labels: [("job", job)], Int64(differences.count)),
            JobMetric(
                "tollgate_sync_unexplained_nanodollars", labels: [("job", job)], unexplained.nanodollars),
        ]
    }

    mutating func fail(_ name: String, _ reason: String) {
        failure += 1
        firstFailure = firstFailure ?? "\(name): \(reason)"
    }

    /// Notes what differs in books; `amount` is a difference of theirs.
    mutating func compare(_ tenants: [ReconciledTenant], _ amount: (ReconciledTenant) -> Money) {
        for tenant in tenants where !tenant.isExact {
            differences.append("\(tenant.tenant): \(tenant.words)")
            unexplained = unexplained + Money(nanodollars: abs(amount(tenant).nanodollars))
        }
    }
}

/// Copies balances from Redis into `tenant_quotas`, for people and audits: never the source of a balance.
///
/// Each is compared with the ledger on the way.
package struct QuotaSyncJob: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let audit: LedgerAudit
    private let reconciler: Reconciler
    private let pageMax: Int
    private static let pagesMax = 10_000

    /// Creates the job.
    ///
    /// - Parameter pageMax: How many tenants are read and stored at a time.
    package init(
        quota: QuotaStore, ledger: LedgerStore, audit: LedgerAudit, reconciler: Reconciler,
        pageMax: Int = 2_000
    ) {
        self.quota = quota
        self.ledger = ledger
        self.audit = audit
        self.reconciler = reconciler
        self.pageMax = pageMax
    }

    /// Copies tenants.
    ///
    /// Those that have changed are taken from their set before they are read, so that a change during the read is copied the next time.
    /// What a crash takes along is copied when the tenant changes again.
    ///
    /// - Parameter isDryRun: Only compares: nothing is stored, and nothing taken from the set.
    package func run(_ scope: SyncScope, isDryRun: Bool = false) throws(JobError) -> SyncSummary {
        var summary = SyncSummary()
        var last = ""
        for _ in 0..<Self.pagesMax {
            let page = try page(of: scope, after: last, isDryRun)
            last = page.last?.description ?? ""
            do throws(JobError) {
                try copy(page, isDryRun, &summary)
            } catch {
                if scope == .changed, !isDryRun { try putBack(page) }
                throw error
            }
            // Without being taken they would come again.
            if page.count < pageMax || (scope == .changed && isDryRun) { break }
        }
        return summary
    }

    private func page(
        of scope: SyncScope, after name: String, _ isDryRun: Bool
    ) throws(JobError) -> [TenantID] {
        switch scope {
        case .only(let tenant): return [tenant]
        case .all:
            return try JobError.database { () throws(PostgresError) in
                try audit.tenants(after: name, countMax: pageMax)
            }
        case .changed:
            return try JobError.redis { () throws(QuotaError) in
                if isDryRun {
                    try quota.dirtyTenants()
                } else {
                    try quota.takeDirtyTenants(countMax: pageMax)
                }
            }
        }
    }

    private func putBack(_ tenants: [TenantID]) throws(JobError) {
        try JobError.redis { () throws(QuotaError) in try quota.putBackDirtyTenants(tenants) }
    }

    private func copy(
        _ tenants: [TenantID], _ isDryRun: Bool, _ summary: inout SyncSummary
    ) throws(JobError) {
        guard !tenants.isEmpty else { return }
        let moment = try JobError.database { () throws(PostgresError) in try ledger.clock() }
        let step = try reconciler.step(tenants)
        summary.absent += step.notLoaded
        for failure in step.failures { summary.fail(failure.tenant.description, failure.reason) }
        summary.compare(step.tenants, \.drift)
        if !isDryRun {
            let snapshots = step.tenants.map { QuotaSnapshot($0.tenant, $0.image) }
            try JobError.database { () throws(PostgresError) in try ledger.store(snapshots, readAt: moment) }
        }
        summary.success += step.tenants.count
    }
}

/// Copies the budgets of API keys from Redis into `api_key_quotas`, for people and audits.
///
/// Each is compared with the ledger on the way.
package struct KeySyncJob: Sendable {
    private let ledger: LedgerStore
    private let audit: LedgerAudit
    private let reconciler: Reconciler
    private let pageMax: Int

    /// Creates the job.
    ///
    /// - Parameter pageMax: How many tenants are read and stored at a time.
    package init(ledger: LedgerStore, audit: LedgerAudit, reconciler: Reconciler, pageMax: Int = 1_000) {
        self.ledger = ledger
        self.audit = audit
        self.reconciler = reconciler
        self.pageMax = pageMax
    }

    /// Copies the budgets of tenants that have changed since theirs were copied, of all, or of one.
    ///
    /// - Parameter isDryRun: Only compares: nothing is stored.
    package func run(_ scope: SyncScope, isDryRun: Bool = false) throws(JobError) -> SyncSummary {
        if case .only(let tenant) = scope {
            var summary = SyncSummary()
            try copy([tenant], isDryRun, &summary)
            return summary
        }
        var summary = SyncSummary()
        var last = ""
        while true {
            let page = try JobError.database { () throws(PostgresError) in
                try audit.tenantsWithBudgets(after: last, all: scope == .all, countMax: pageMax)
            }
            guard let end = page.last else { return summary }
            last = end.description
            try copy(page, isDryRun, &summary)
        }
    }

    private func copy(
        _ tenants: [TenantID], _ isDryRun: Bool, _ summary: inout SyncSummary
    ) throws(JobError) {
        let moment = try JobError.database { () throws(PostgresError) in try ledger.clock() }
        let step = try reconciler.step(tenants)
        summary.absent += step.notLoaded
        for failure in step.failures { summary.fail(failure.tenant.description, failure.reason) }
        summary.compare(step.tenants) { tenant in
            tenant.budgets.reduce(.zero) { $0 + Money(nanodollars: abs($1.drift.nanodollars)) }
        }
        let snapshots = step.tenants.flatMap { tenant in
            tenant.budgets.map {
                BudgetSnapshot(
                    tenant: tenant.tenant, key: $0.key, limit: $0.shown.limit, used: $0.shown.used,
                    period: $0.shown.period)
            }
        }
        if !isDryRun {
            try JobError.database { () throws(PostgresError) in try ledger.store(snapshots, readAt: moment) }
        }
        summary.success += snapshots.count
    }
}

extension Reconciler {
    /// Compares both sides of tenants, for a job.
    fileprivate func step(_ tenants: [TenantID]) throws(JobError) -> Step {
        do throws(ReconcileError) { return try compare(tenants) } catch { throw JobError(error) }
    }
}

extension QuotaSnapshot {
    fileprivate init(_ tenant: TenantID, _ image: ImageReading) {
        self.init(
            tenant: tenant, balance: image.balance, held: image.held, dailyUsed: image.dailyUsed,
            monthlyUsed: image.monthlyUsed, period: image.period, epoch: image.epoch,
            limitsVersion: image.limitsVersion)
    }
}
