package import Core
package import Ledger
import Postgres
package import Quota
package import Threads

/// Rebuilds a tenant's image in Redis from the ledger.
///
/// One rebuilds, the others wait: in this process by a list of waiters, between processes by a lease in Redis. The lease only saves
/// work; what makes a rebuild safe is the epoch, raised and committed before the snapshot is read.
package final class ImageBuilder: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let incarnations: Incarnations
    private let owner: String
    private let leaseMilliseconds: Int
    private let waitMilliseconds: Int
    private let flights = Locked<[TenantID: [Signal]]>([:])

    /// Creates a builder.
    ///
    /// - Parameters:
    ///   - owner: The name of this process, in lease tokens.
    ///   - leaseMilliseconds: How long a rebuild may take before another may start.
    ///   - waitMilliseconds: How long a request waits for a rebuild in all.
    package init(
        quota: QuotaStore, ledger: LedgerStore, incarnations: Incarnations, owner: String,
        leaseMilliseconds: Int = 5_000, waitMilliseconds: Int = 1_000
    ) {
        self.quota = quota
        self.ledger = ledger
        self.incarnations = incarnations
        self.owner = owner
        self.leaseMilliseconds = leaseMilliseconds
        self.waitMilliseconds = waitMilliseconds
    }

    /// When a request that starts waiting now has waited long enough.
    package var waitDeadline: Deadline { .after(milliseconds: waitMilliseconds) }

    /// Makes sure that a valid image of the tenant stands, rebuilding it or waiting for whoever does.
    package func warm(_ tenant: TenantID, in period: Period, until deadline: Deadline) throws(SettlementError)
    {
        let waiting: Signal? = flights.withLock { flights in
            guard flights[tenant] != nil else {
                flights[tenant] = []
                return nil
            }
            let signal = Signal()
            flights[tenant]?.append(signal)
            return signal
        }
        if let waiting {
            guard waiting.wait(until: deadline) else {
                throw .unavailable("the tenant's balance is still being loaded")
            }
            return
        }
        defer {
            let waiters = flights.withLock { $0.removeValue(forKey: tenant) } ?? []
            for waiter in waiters { waiter.wake() }
        }
        try rebuild(tenant, in: period, until: deadline)
    }

    private func rebuild(_ tenant: TenantID, in period: Period, until deadline: Deadline)
        throws(SettlementError)
    {
        let token = "\(owner):\(UInt64.random(in: 0 ... .max))"
        repeat {
            let identity = try orUnavailable { () throws(QuotaError) in try quota.identity() }
            let number = try orUnavailable { () throws(PostgresError) in try incarnations.register(identity) }
            let lease = try orUnavailable { () throws(QuotaError) in
                try quota.takeLease(
                    tenant: tenant, token: token, milliseconds: leaseMilliseconds, incarnation: number)
            }
            switch lease {
            case .warm: return
            case .busy: _ = Signal().wait(until: min(deadline, .after(milliseconds: 10)))
            case .taken(let seen):
                let image = try contents(of: tenant, above: seen, in: period)
                let reply = try orUnavailable { () throws(QuotaError) in
                    try quota.install(image, tenant: tenant, token: token, incarnation: number)
                }
                if reply != .lost { return }
            }
        } while !deadline.isPast
        throw .unavailable("the tenant's balance is still being loaded")
    }

    /// Raises the epoch, and only when that is committed reads the snapshot.
    private func contents(
        of tenant: TenantID, above seen: Int64, in period: Period
    ) throws(SettlementError) -> ImageContents {
        let epoch = try orUnavailable { () throws(PostgresError) in
            try ledger.raiseEpoch(of: tenant, above: seen)
        }
        guard let epoch else { throw .unknownTenant }
        let snapshot = try orUnavailable { () throws(PostgresError) in
            try LedgerReader.snapshot(ledger.database, of: tenant, in: period)
        }
        guard let snapshot else { throw .unknownTenant }
        return ImageContents(
            epoch: epoch, balance: snapshot.balance, limits: snapshot.limits,
            creditSequence: snapshot.standing.creditSequence, period: snapshot.period,
            dailyUsed: snapshot.dailyUsed, monthlyUsed: snapshot.monthlyUsed,
            budgets: snapshot.budgets.map {
                BudgetContents(key: $0.key, budget: $0.budget, used: $0.used)
            },
            holds: snapshot.holds)
    }
}
