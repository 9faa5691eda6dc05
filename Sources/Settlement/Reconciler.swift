package import Core
package import Ledger
import Postgres
package import Quota

/// Both sides of a tenant's books at one moment: what its image shows, and what the ledger says that it should show.
package struct ReconciledTenant: Sendable {
    /// Whose books.
    package let tenant: TenantID
    /// The image.
    package let image: ImageReading
    /// The ledger's side.
    package let sums: AuditedSums

    /// What the image's balance and holds should come to together.
    package var expected: Money { sums.credited - sums.charged }
    /// What they come to.
    package var shown: Money { image.balance + image.held }
    /// What the image has too much; negative when it has too little.
    package var drift: Money { shown - expected }
    /// What the image counts too much of the day's requests.
    package var dailyDrift: Int64 {
        image.dailyUsed - sums.dailyUsed - Int64(image.holds.count { $0.period.day == image.period.day })
    }
    /// What the image counts too much of the month's requests.
    package var monthlyDrift: Int64 {
        image.monthlyUsed - sums.monthlyUsed
            - Int64(image.holds.count { $0.period.month == image.period.month })
    }
    /// Whether both sides agree to the nano-dollar, and to the request.
    package var isExact: Bool { drift == .zero && dailyDrift == 0 && monthlyDrift == 0 && sums.unheld == 0 }
}

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
        var step = Step()
        var images: [(tenant: TenantID, image: ImageReading)] = []
        for (tenant, result) in zip(tenants, quota.read(tenants)) {
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
        guard let found else { return nil }
        step.compared = images.count
        for (tenant, image) in images {
            if let sums = found[tenant] {
                step.tenants.append(ReconciledTenant(tenant: tenant, image: image, sums: sums))
            } else {
                step.failures.append((tenant, "Redis has an image of it, and the ledger no such tenant"))
            }
        }
        return step
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
