import Core
import Foundation
import Gateway
import Ledger
import Postgres
import Quota
import Redis
import Settlement
import TestSupport
import Testing

/// A row of the ledger, as the audit reads it.
struct FaultRow: Sendable, Hashable {
    let trace: TraceID
    let tenant: String
    let keyID: String
    var status: String
    var hold: Int64
    var charge: Int64
    let priceVersion: Int64
    let outputTokens: Int64
    var usageSource: String
    let interruptedBy: String
    let errorCode: String
    /// When it was inserted, in Unix milliseconds of the database's clock.
    var createdAt: Int64
    var day: Int32
    let epoch: Int64

    /// Whether it has ended.
    var hasEnded: Bool { status != "pending" }

    /// What stands for the key where a hold without a row was ended; nil where the key must stand.
    var namelessKey: String? { errorCode == "ORPHANED_HOLD" ? "" : nil }
}

/// Both sides of a tenant's books at the end.
struct FaultBooks: Sendable {
    let tenant: String
    var credited: Int64
    let creditLimit: Int64
    let dailyQuota: Int64?
    /// The sums that the ledger itself makes.
    var charged: Int64
    var held: Int64
    /// The image's balance; nil without an image.
    var balance: Int64?
    /// The holds in the image: trace and amount.
    var holds: [TraceID: Int64]
    /// What keys may spend and have spent, by Redis.
    var budgets: [(keyID: String, limit: Int64, used: Int64)]
    /// Credits that pay back a request, by its trace.
    var refunds: [String: Int64]
    /// What the live check says of it, in words; nil when it is exact.
    let difference: String?

    /// How far both sides are apart.
    var drift: Int64 {
        guard let balance else { return 0 }
        return abs(balance - (credited - charged - held)) + abs(holds.values.reduce(0, +) - held)
    }
}

/// All that is known of a run: what clients, provider, ledger and Redis wrote down.
struct FaultEvidence: Sendable {
    var answers: [FaultAnswer] = []
    var calls: [TestProviderCall] = []
    var rows: [FaultRow] = []
    /// Ended rows, as they were at earlier moments.
    var earlier: [FaultRow] = []
    var tenants: [FaultBooks] = []
    var prices: [Int64: Price] = [:]
    /// By what a request's own clock may differ from the moment at which its period was fixed, in milliseconds.
    var clockOffsets: [Int64] = [0, 5_000]
    /// What was seen to be wrong while requests ran, and what the checks of the product find.
    var observations: [String] = []
}

// MARK: - Reading it

extension TestGateway {
    /// The lines of the log about some requests.
    func faultLog(of traces: [TraceID]) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: logDirectory)) ?? []
        return names.flatMap { name in
            let text = (try? String(contentsOfFile: logDirectory + "/" + name, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").filter { line in
                traces.prefix(3).contains { line.contains($0.description) }
            }.map { String($0) }
        }
    }

    /// All rows of the ledger.
    func faultRows() throws -> [FaultRow] {
        let statement = Statement(
            name: "fault_rows",
            sql: """
                SELECT trace_id, tenant_id, coalesce(api_key_id, ''), status, hold, charge,
                       coalesce(price_version, 0), output_tokens + reasoning_tokens, coalesce(usage_source, ''),
                       coalesce(interrupted_by, ''), coalesce(error_code, ''),
                       (extract(epoch FROM created_at) * 1000)::bigint, day, epoch
                  FROM billing_transactions ORDER BY trace_id
                """)
        let rows = try stores.money.database.query(statement)
        return try (0..<rows.count).map { row in
            FaultRow(
                trace: try #require(TraceID(rows.text(row, 0))), tenant: rows.text(row, 1),
                keyID: rows.text(row, 2), status: rows.text(row, 3), hold: rows.int(row, 4),
                charge: rows.int(row, 5), priceVersion: rows.int(row, 6), outputTokens: rows.int(row, 7),
                usageSource: rows.text(row, 8), interruptedBy: rows.text(row, 9),
                errorCode: rows.text(row, 10),
                createdAt: rows.int(row, 11), day: Int32(rows.int(row, 12)), epoch: rows.int(row, 13))
        }
    }

    /// The published prices by version.
    func faultPrices() throws -> [Int64: Price] {
        let statement = Statement(
            name: "fault_prices",
            sql: """
                SELECT version, input, cached_input, cache_write, cache_write_hour, output, reasoning, audio_input,
                       audio_output, per_request FROM prices
                """)
        let rows = try stores.money.database.query(statement)
        return Dictionary(
            uniqueKeysWithValues: (0..<rows.count).map { row in
                let rates = Price.Rates(
                    input: rows.int(row, 1), output: rows.int(row, 5), cachedInput: rows.int(row, 2),
                    cacheWrite: rows.int(row, 3), cacheWriteHour: rows.int(row, 4),
                    reasoning: rows.int(row, 6),
                    audioInput: rows.int(row, 7), audioOutput: rows.int(row, 8))
                let price = Price(
                    version: rows.int(row, 0), rates: rates,
                    perRequest: Money(nanodollars: rows.int(row, 9)))
                return (price.version, price)
            })
    }

    /// Both sides of all tenants' books, with what the live check says of them.
    func faultBooks(_ callers: [FaultCaller]) throws -> [FaultBooks] {
        // A Redis that was restarted has a new number.
        try stores.money.registerRedis()
        let tenants = Array(Set(callers.map(\.tenant))).sorted { $0.description < $1.description }
        let step = try faultReconciler().compare(tenants)
        try #require(step.failures.isEmpty, "\(step.failures)")
        return try tenants.map { tenant in
            let totals = try LedgerReader.totals(stores.money.database, of: tenant)
            let compared = step.tenants.first { $0.tenant == tenant }
            let limits = try faultLimits(of: tenant)
            return FaultBooks(
                tenant: tenant.description, credited: totals.credited.nanodollars,
                creditLimit: limits.creditLimit,
                dailyQuota: limits.dailyQuota, charged: totals.charged.nanodollars,
                held: totals.held.nanodollars, balance: compared?.image.balance.nanodollars,
                holds: Dictionary(
                    uniqueKeysWithValues: (compared?.image.holds ?? []).map {
                        ($0.trace, $0.amount.nanodollars)
                    }),
                budgets: try faultBudgets(of: tenant, callers), refunds: try faultRefunds(of: tenant),
                difference: compared.flatMap { $0.isExact ? nil : "\($0)" })
        }
    }

    private func faultReconciler() -> Reconciler {
        let money = stores.money
        return Reconciler(quota: money.quota, ledger: money.ledger, audit: faultAudit())
    }

    private func faultAudit() -> LedgerAudit {
        var lookups = stores.configuration.databaseConfiguration(name: "audit", connectionsMax: 1)
        lookups.sessionSettings = LedgerAudit.sessionSettings
        return LedgerAudit(lookups: PostgresPool(lookups), scans: stores.money.database)
    }

    private func faultLimits(of tenant: TenantID) throws -> (creditLimit: Int64, dailyQuota: Int64?) {
        let statement = Statement(
            name: "fault_limits", sql: "SELECT credit_limit, daily_quota FROM tenants WHERE id = $1")
        let rows = try stores.money.database.query(statement, [.text(tenant.description)])
        return (rows.int(0, 0), rows.optionalInt(0, 1))
    }

    private func faultRefunds(of tenant: TenantID) throws -> [String: Int64] {
        let statement = Statement(
            name: "fault_refunds",
            sql:
                "SELECT substr(external_id, 8), amount FROM credits WHERE tenant_id = $1 AND external_id LIKE 'refund:%'"
        )
        let rows = try stores.money.database.query(statement, [.text(tenant.description)])
        return Dictionary(uniqueKeysWithValues: (0..<rows.count).map { (rows.text($0, 0), rows.int($0, 1)) })
    }

    private func faultBudgets(
        of tenant: TenantID, _ callers: [FaultCaller]
    ) throws -> [(keyID: String, limit: Int64, used: Int64)] {
        try callers.filter { $0.tenant == tenant }.compactMap { caller in
            let key = try #require(APIKeyID(caller.keyID))
            guard let budget = try stores.money.quota.budget(of: key, tenant: tenant) else { return nil }
            return (caller.keyID, budget.limit.nanodollars, budget.used.nanodollars)
        }
    }

    /// What the product's own checks of the ledger find wrong: charges that are not what their usage costs, missing guards.
    func faultProblems() throws -> [String] {
        let audit = faultAudit()
        let charges = try audit.wrongCharges(
            since: TraceID(lowestAtUnixMilliseconds: 0), countMax: 1_000_000)
        return try charges.wrong.map { "I7 \($0.trace) was charged \($0.charge), not what its usage costs" }
            + audit.missingGuards().map { "I5 \($0)" }
    }
}
