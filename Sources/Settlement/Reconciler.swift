package import Core
package import Ledger
import Postgres
package import Quota

/// The live check of the books: invariant I2, exact while requests run.
///
/// An image is read at one moment, and the ledger after it. What the image has seen and given back had ended in the ledger before, and
/// ended rows never change; what it still holds, and what was reserved later, is left out by name and by number. So whatever happens
/// between the two reads, both sides agree.
package struct Reconciler: Sendable {
    /// What came of a step.
    package struct Step: Sendable {
        /// Tenants that have an image.
        package var tenants: [ReconciledTenant] = []
        /// How many have none: their next request reads the ledger.
        package var notLoaded = 0
        /// How many have one.
        package var compared = 0
        /// Tenants whose image could not be read, and why.
        package var failures: [(tenant: TenantID, reason: String)] = []

        /// Nothing yet.
        package init() {}
    }

    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let audit: LedgerAudit
    private let attemptsMax: Int

    /// Creates a reconciler.
    ///
    /// - Parameter attemptsMax: How often a step is tried when rows are rolled up in the middle of it.
    package init(quota: QuotaStore, ledger: LedgerStore, audit: LedgerAudit, attemptsMax: Int = 10) {
        self.quota = quota
        self.ledger = ledger
        self.audit = audit
        self.attemptsMax = attemptsMax
    }

    /// Compares both sides of some tenants, some thousand at most.
    package func compare(_ tenants: [TenantID]) throws(ReconcileError) -> Step {
        for _ in 0..<attemptsMax {
            if let step = try attempt(tenants) { return step }
        }
        throw .ledger("rows were rolled up during each of \(attemptsMax) reads")
    }

    private func attempt(_ tenants: [TenantID]) throws(ReconcileError) -> Step? {
        // Before the images are read: all that is rolled up by then, they have seen.
        let watermark = try reading { () throws(PostgresError) in try ledger.rollupWatermark() }
        let keys = try reading { () throws(PostgresError) in try audit.budgetKeys(of: tenants) }
        var step = Step()
        var images: [(tenant: TenantID, image: ImageReading)] = []
        for (tenant, result) in zip(tenants, quota.read(tenants, budgets: keys)) {
            switch result {
            case .success(let image?): images.append((tenant, image))
            case .success(nil): step.notLoaded += 1
            case .failure(.unexpectedReply(let reply)): step.failures.append((tenant, "no image: \(reply)"))
            case .failure(.refused(let reason)): step.failures.append((tenant, "no image: \(reason)"))
            case .failure(let error): throw .redis("\(error)")
            }
        }
        let seen = images.map { SeenImage($0.tenant, $0.image) }
        let found = try reading { () throws(PostgresError) in
            try audit.sums(of: seen, rolledUpTo: watermark)
        }
        guard let found, let budgets = try budgets(of: images, rolledUpTo: watermark) else { return nil }
        step.compared = images.count
        for (tenant, image) in images {
            if let sums = found[tenant] {
                step.tenants.append(
                    ReconciledTenant(
                        tenant: tenant, image: image, sums: sums, budgets: budgets[tenant] ?? []))
            } else {
                step.failures.append((tenant, "Redis has an image of it, and the ledger no such tenant"))
            }
        }
        return step
    }

    /// Both sides of the budgets in images; nil when rows have been rolled up meanwhile.
    private func budgets(
        of images: [(tenant: TenantID, image: ImageReading)], rolledUpTo watermark: TraceID
    ) throws(ReconcileError) -> [TenantID: [ReconciledBudget]]? {
        let images = images.filter { !$0.image.budgets.isEmpty }
        let seen = images.map { tenant, image in
            image.budgets.map { SeenBudget(tenant: tenant, key: $0.key, period: $0.budget.period) }
        }
        let charges = try reading { () throws(PostgresError) in
            try audit.charges(
                in: seen.flatMap { $0 }, of: images.map { SeenImage($0.tenant, $0.image) },
                rolledUpTo: watermark)
        }
        guard let charges else { return nil }
        var budgets: [TenantID: [ReconciledBudget]] = [:]
        for ((tenant, image), seen) in zip(images, seen) {
            budgets[tenant] = zip(image.budgets, seen).map { stored, budget in
                let held = image.holds.filter { $0.key == budget.key && budget.contains($0.period) }
                    .reduce(Money.zero) { $0 + $1.amount }
                return ReconciledBudget(
                    key: budget.key, shown: stored.budget, expected: (charges[budget] ?? .zero) + held)
            }
        }
        return budgets
    }

    private func reading<Value>(_ effect: () throws(PostgresError) -> Value) throws(ReconcileError) -> Value {
        do throws(PostgresError) { return try effect() } catch { throw .ledger("\(error)") }
    }
}

/// Why the books could not be compared.
package enum ReconcileError: Error, Equatable, CustomStringConvertible {
    case ledger(String)
    case redis(String)

    package var description: String {
        switch self {
        case .ledger(let reason): "PostgreSQL: \(reason)"
        case .redis(let reason): "Redis: \(reason)"
        }
    }
}

extension SeenImage {
    init(_ tenant: TenantID, _ image: ImageReading) {
        self.init(
            tenant: tenant, epoch: image.epoch, lastHold: image.version, lastCredit: image.creditSequence,
            period: image.period,
            holds: image.holds.map { (trace: $0.trace, epoch: $0.epoch, rseq: $0.rseq) })
    }
}
