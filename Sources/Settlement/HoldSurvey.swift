package import Core
package import Ledger
package import Postgres
package import Quota
import Threads

/// One hold as both sides have it.
package struct SurveyedHold: Sendable {
    /// Which request.
    package let trace: TraceID
    /// Who is billed.
    package let tenant: TenantID
    /// The public part of the API key.
    package let key: String?
    /// The ledger's amount, or Redis' where there is no row.
    package let amount: Money
    /// What the row is; nil when there is none: it is about to be inserted, or its process died before.
    package let status: TransactionStatus?
    /// What Redis holds; nil when it holds nothing, or was not asked.
    package let amountInRedis: Money?
    /// What only a pending row knows.
    package let row: PendingHold?

    /// Seconds since the request came in, by this machine's clock.
    package var ageSeconds: Int64 { max(0, (WallClock.unixMilliseconds - trace.unixMilliseconds) / 1_000) }

    /// Whether the process that must end it runs; nil when no row names one.
    package var isOwnerAlive: Bool? {
        row.map { !LocalProcess.isDead($0.process, isLeased: $0.isLeased) }
    }
}

/// All money that is held, by the ledger and by Redis; only reads.
package struct HoldSurvey: Sendable {
    /// The holds, the oldest first.
    package let holds: [SurveyedHold]
    /// Why Redis could not be asked; nil when it was.
    package let redisProblem: String?

    private static let pageMax = 10_000

    /// Reads the holds of one tenant, or of all.
    ///
    /// Rows are read before and after the holds, so that what only passed by is not taken for a difference.
    package init(ledger: LedgerStore, quota: QuotaStore, tenant: TenantID?) throws(PostgresError) {
        let pending = try HoldSurvey.pendingRows(ledger, tenant)
        var inRedis: [TenantID: [StoredHold]] = [:]
        var problem: String?
        do throws(QuotaError) {
            let tenants: Set<TenantID> = if let tenant { [tenant] } else { try quota.tenantsWithHolds() }
            for tenant in tenants { inRedis[tenant] = try quota.holds(of: tenant) }
        } catch {
            problem = "\(error)"
        }
        redisProblem = problem
        holds = try HoldSurvey.combine(pending, inRedis) { names throws(PostgresError) in
            try LedgerReader.rows(ledger.database, names)
        }
    }

    private static func pendingRows(
        _ ledger: LedgerStore, _ tenant: TenantID?
    ) throws(PostgresError) -> [PendingHold] {
        // The sweeper has looked at everything older and left nothing pending.
        var since = try ledger.watermark(of: "sweep") ?? TraceID(lowestAtUnixMilliseconds: 0)
        var found: [PendingHold] = []
        var page: [PendingHold]
        repeat {
            page = try LedgerReader.pendingHolds(
                ledger.database, since: since, of: tenant, countMax: pageMax)
            found += page
            since = page.last?.trace.successor ?? since
        } while page.count == pageMax
        return found
    }

    /// Puts both sides together.
    ///
    /// - Parameter standing: Reads the rows that stand under some names now.
    private static func combine(
        _ pending: [PendingHold], _ inRedis: [TenantID: [StoredHold]],
        standing: ([(TenantID, TraceID)]) throws(PostgresError) -> [TraceID: StandingRow]
    ) throws(PostgresError) -> [SurveyedHold] {
        var names = Dictionary(pending.map { ($0.trace, $0.tenant) }, uniquingKeysWith: { first, _ in first })
        var stored: [TraceID: StoredHold] = [:]
        for (tenant, holds) in inRedis {
            for hold in holds {
                names[hold.trace] = tenant
                stored[hold.trace] = hold
            }
        }
        let rows = Dictionary(pending.map { ($0.trace, $0) }, uniquingKeysWith: { first, _ in first })
        var found: [SurveyedHold] = []
        let ordered = names.sorted { $0.key < $1.key }
        for start in stride(from: 0, to: ordered.count, by: pageMax) {
            let page = ordered[start..<min(start + pageMax, ordered.count)]
            let now = try standing(page.map { ($0.value, $0.key) })
            for (trace, tenant) in page {
                let hold = stored[trace]
                // Ended meanwhile, on both sides.
                if hold == nil, now[trace]?.status != .pending { continue }
                let key = rows[trace]?.key ?? hold.flatMap { $0.key.isEmpty ? nil : $0.key }
                found.append(
                    SurveyedHold(
                        trace: trace, tenant: tenant, key: key,
                        amount: now[trace]?.hold ?? hold?.amount ?? .zero,
                        status: now[trace]?.status, amountInRedis: hold?.amount,
                        row: now[trace]?.status == .pending ? rows[trace] : nil))
            }
        }
        return found
    }
}
