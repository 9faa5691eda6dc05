import Core
package import Ledger
import Postgres
package import Quota

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

    /// All that were looked at.
    package var total: Int { success + failure + absent }

    mutating func fail(_ name: String, _ reason: String) {
        failure += 1
        firstFailure = firstFailure ?? "\(name): \(reason)"
    }
}

/// Copies balances from Redis into `tenant_quotas`, for people and audits: never the source of a balance.
package struct QuotaSyncJob: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let audit: LedgerAudit
    private let pageMax: Int
    private static let pagesMax = 10_000

    /// Creates the job.
    ///
    /// - Parameter pageMax: How many tenants are read and stored at a time.
    package init(quota: QuotaStore, ledger: LedgerStore, audit: LedgerAudit, pageMax: Int = 2_000) {
        self.quota = quota
        self.ledger = ledger
        self.audit = audit
        self.pageMax = pageMax
    }

    /// Copies the tenants whose images have changed since the last run, or all.
    ///
    /// Taken from the set of changed tenants before they are read, so that a change during the read is copied the next time. What a
    /// crash takes along is copied when the tenant changes again.
    package func run(all: Bool) throws(JobError) -> SyncSummary {
        var summary = SyncSummary()
        var last = ""
        for _ in 0..<Self.pagesMax {
            let page = try all ? tenants(after: last) : changed()
            last = page.last?.description ?? ""
            do throws(JobError) {
                try copy(page, &summary)
            } catch {
                if !all {
                    try JobError.redis { () throws(QuotaError) in try quota.putBackDirtyTenants(page) }
                }
                throw error
            }
            if page.count < pageMax { break }
        }
        return summary
    }

    private func tenants(after name: String) throws(JobError) -> [TenantID] {
        try JobError.database { () throws(PostgresError) in
            try audit.tenants(after: name, countMax: pageMax)
        }
    }

    private func changed() throws(JobError) -> [TenantID] {
        try JobError.redis { () throws(QuotaError) in try quota.takeDirtyTenants(countMax: pageMax) }
    }

    private func copy(_ tenants: [TenantID], _ summary: inout SyncSummary) throws(JobError) {
        guard !tenants.isEmpty else { return }
        let moment = try JobError.database { () throws(PostgresError) in try ledger.clock() }
        var snapshots: [QuotaSnapshot] = []
        for (tenant, result) in zip(tenants, quota.read(tenants)) {
            switch result {
            case .success(let image?): snapshots.append(QuotaSnapshot(tenant, image))
            case .success(nil): summary.absent += 1
            case .failure(.unexpectedReply(let reply)): summary.fail(tenant.description, reply)
            case .failure(.refused(let reason)): summary.fail(tenant.description, reason)
            case .failure(let error): throw .redis("\(error)")
            }
        }
        try JobError.database { () throws(PostgresError) in try ledger.store(snapshots, readAt: moment) }
        summary.success += snapshots.count
    }
}

/// Copies the budgets of API keys from Redis into `api_key_quotas`, for people and audits.
package struct KeySyncJob: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let pageMax: Int

    /// Creates the job.
    ///
    /// - Parameter pageMax: How many keys are read and stored at a time.
    package init(quota: QuotaStore, ledger: LedgerStore, pageMax: Int = 2_000) {
        self.quota = quota
        self.ledger = ledger
        self.pageMax = pageMax
    }

    /// Copies the keys whose tenant has been copied since they were, or all.
    package func run(all: Bool) throws(JobError) -> SyncSummary {
        var summary = SyncSummary()
        var last = ""
        while true {
            let moment = try JobError.database { () throws(PostgresError) in try ledger.clock() }
            let page = try JobError.database { () throws(PostgresError) in
                try ledger.keysToSync(after: last, all: all, countMax: pageMax)
            }
            guard let end = page.last else { return summary }
            last = end.key
            let budgets = try JobError.redis { () throws(QuotaError) in try quota.budgets(of: page) }
            let snapshots = zip(page, budgets).compactMap { key, budget in
                budget.map {
                    BudgetSnapshot(
                        tenant: key.tenant, key: key.key, limit: $0.limit, used: $0.used, period: $0.period)
                }
            }
            try JobError.database { () throws(PostgresError) in try ledger.store(snapshots, readAt: moment) }
            summary.success += snapshots.count
            summary.absent += page.count - snapshots.count
        }
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
