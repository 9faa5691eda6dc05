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
        var machine = RebuildMachine()
        var event = RebuildMachine.Event.begin
        var life: Incarnations.Registered?
        var snapshot: TenantSnapshot?
        while true {
            switch machine.next(after: event) {
            case .identify:
                life = try identify()
                event = .identified
            case .takeLease: event = .leaseAnswered(try takeLease(tenant, token, life))
            case .pause:
                _ = Signal().wait(until: min(deadline, .after(milliseconds: 10)))
                event = .paused(isLate: deadline.isPast)
            case .raiseEpoch(let seen):
                event = try raiseEpoch(of: tenant, above: seen, life, isLate: deadline.isPast)
            case .readSnapshot:
                snapshot = try readSnapshot(of: tenant, in: period)
                event = .snapshotRead(isKnown: snapshot != nil)
            case .install(let epoch):
                guard let snapshot else { preconditionFailure("a snapshot is read before it is installed") }
                let reply = try install(ImageContents(snapshot, epoch), tenant, token, life)
                event = .installAnswered(reply, isLate: deadline.isPast)
            case .finish: return
            case .fail(let error): throw error
            }
        }
    }

    // MARK: - Effects

    /// The life of Redis that answers, as it is registered.
    private func identify() throws(SettlementError) -> Incarnations.Registered {
        let identity = try orUnavailable { () throws(QuotaError) in try quota.identity() }
        let life = try orUnavailable { () throws(PostgresError) in try incarnations.register(identity) }
        guard let life else { throw .inDatabaseMode }
        return life
    }

    private func takeLease(
        _ tenant: TenantID, _ token: String, _ life: Incarnations.Registered?
    ) throws(SettlementError) -> LeaseReply {
        try orUnavailable { () throws(QuotaError) in
            try quota.takeLease(
                tenant: tenant, token: token, milliseconds: leaseMilliseconds,
                incarnation: life?.number ?? 0)
        }
    }

    private func raiseEpoch(
        of tenant: TenantID, above seen: Int64, _ life: Incarnations.Registered?, isLate: Bool
    ) throws(SettlementError) -> RebuildMachine.Event {
        let change = life?.change ?? 0
        let raised = try orUnavailable { () throws(PostgresError) in
            try ledger.raiseEpoch(of: tenant, above: seen, sinceChange: change)
        }
        if let raised { return .epochRaised(raised) }
        let mode = try orUnavailable { () throws(PostgresError) in try ledger.mode() }
        guard !mode.isDatabase else { throw .inDatabaseMode }
        guard mode.change != change else { return .epochRaised(nil) }
        incarnations.forget(exceptChange: mode.change)
        return .modeChanged(isLate: isLate)
    }

    private func readSnapshot(
        of tenant: TenantID, in period: Period
    ) throws(SettlementError) -> TenantSnapshot? {
        try orUnavailable { () throws(PostgresError) in
            try LedgerReader.snapshot(ledger.database, of: tenant, in: period)
        }
    }

    private func install(
        _ image: ImageContents, _ tenant: TenantID, _ token: String, _ life: Incarnations.Registered?
    ) throws(SettlementError) -> InstallReply {
        try orUnavailable { () throws(QuotaError) in
            try quota.install(image, tenant: tenant, token: token, incarnation: life?.number ?? 0)
        }
    }
}

extension ImageContents {
    init(_ snapshot: TenantSnapshot, _ epoch: Int64) {
        self.init(
            epoch: epoch, balance: snapshot.balance, limits: snapshot.limits,
            creditSequence: snapshot.standing.creditSequence, period: snapshot.period,
            dailyUsed: snapshot.dailyUsed, monthlyUsed: snapshot.monthlyUsed,
            budgets: snapshot.budgets.map {
                BudgetContents(key: $0.key, budget: $0.budget, used: $0.used)
            },
            holds: snapshot.holds)
    }
}
