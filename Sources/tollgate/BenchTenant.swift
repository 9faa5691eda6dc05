import Bench
import Core
import Foundation
import Gateway
import Ledger
import Quota
import Tenancy
import Threads

/// The tenant that pays for a measurement, with a key that lives as long as it.
struct BenchTenant {
    let key: SecretText
    private let stores: CommandStores
    private let id: TenantID
    private let before: TenantTotals

    private static let name = "bench"
    /// What it has at least: enough for the holds of thousands of requests at once.
    private static let balanceMin = Money(nanodollars: 10_000_000_000_000)

    /// Creates the tenant unless it is there, fills up its balance, and makes a key.
    init(_ stores: CommandStores) throws {
        self.stores = stores
        let id = try parseTenant(Self.name)
        self.id = id
        _ = try attempt {
            try stores.tenants.create(
                id, timeZone: "UTC", creditLimit: .zero, dailyQuota: nil, monthlyQuota: nil)
        }
        let standing = try attempt { try LedgerReader.totals(stores.money.database, of: id) }
        if standing.balance < Self.balanceMin {
            _ = try stores.addCredit(
                Self.balanceMin - standing.balance, to: id, kind: "bench", externalID: UUID().uuidString)
        }
        let secret = try attempt {
            try stores.tenants.createKey(
                for: id, label: "bench", allowedModels: nil, pepper: stores.configuration.pepper)
        }
        guard let secret else { throw fail("there is no tenant '\(id)'", ExitStatus.notFound) }
        key = secret
        before = try attempt { try LedgerReader.totals(stores.money.database, of: id) }
    }

    /// Ends the key; a failure is told and changes nothing else.
    func revokeKey() {
        // `attempt` has said why.
        _ = try? attempt { try stores.tenants.revokeKey(key.id) }
    }

    /// Waits until nothing runs any more, and compares the ledger, Redis and our own count.
    func books(for asked: RequestBounds) throws -> BenchBooks {
        let deadline = Deadline.after(seconds: 30)
        while true {
            let totals = try attempt { try LedgerReader.totals(stores.money.database, of: id) }
            let image = try attempt { try stores.money.quota.image(of: id) }
            let isAtRest = totals.pending == 0 && image?.held == .zero
            guard isAtRest || deadline.isPast else {
                usleep(100_000)
                continue
            }
            return BenchBooks(
                asked: asked, requestsCharged: totals.committed - before.committed,
                requestsVoided: totals.voided - before.voided, requestsRunning: totals.pending,
                charged: totals.charged - before.charged, drift: image.map { $0.balance - totals.balance })
        }
    }
}

/// What the books say of a measurement.
struct BenchBooks {
    /// What we have asked for ourselves.
    let asked: RequestBounds
    /// Rows of the ledger.
    let requestsCharged: Int64
    let requestsVoided: Int64
    let requestsRunning: Int64
    let charged: Money
    /// The balance in Redis less that in the ledger; nil when Redis has none.
    let drift: Money?

    /// Whether each answer was charged once, with the right amount, and both books agree.
    var isExact: Bool {
        let isCounted = (asked.answered...asked.answered + asked.unanswered).contains(requestsCharged)
        let isPriced =
            charged.nanodollars >= asked.chargeMin ?? 0 && charged.nanodollars <= asked.chargeMax ?? .max
        return isCounted && isPriced && requestsRunning == 0 && drift == .zero
    }
}
