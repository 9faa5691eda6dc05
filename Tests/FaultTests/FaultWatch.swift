import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

/// What goes on beside a load: the sweeper as a timer runs it, credits for the tenant with little money, and a look at the ledger.
final class FaultWatch: Sendable {
    private static let credit = Money(nanodollars: 2_000_000)

    private let gateway: TestGateway
    private let poor: TenantID
    private let ledger: PostgresPool
    private let isOver = Atomic(false)
    private let remembered = Locked<[TraceID: FaultRow]>([:])
    private let overspent = Locked<Set<String>>([])
    private let creditsGiven = Atomic<Int>(0)

    init(_ gateway: TestGateway, poor: TenantID) {
        self.gateway = gateway
        self.poor = poor
        // As a superuser, who finds a connection when nobody else does.
        var configuration = PostgresConfiguration(
            connectionString: gateway.stores.database.connectionString, applicationName: "watch")
        configuration.connectionsMax = 2
        ledger = PostgresPool(configuration)
    }

    /// Begins.
    func start() throws -> ConcurrentWork<Void> {
        let works = [
            { @Sendable in self.every(milliseconds: 2_000) { self.sweep() } },
            { @Sendable in self.every(milliseconds: 400) { self.lookForOverspending() } },
            { @Sendable in self.giveCredits() },
        ]
        return try Concurrently.begin(works.count) { works[$0]() }
    }

    /// Tells all to end; a credit under way is given first.
    func stop() {
        isOver.store(true, ordering: .relaxed)
    }

    /// Rows that had ended at earlier moments.
    var ended: [FaultRow] { remembered.withLock { Array($0.values) } }

    /// Remembers which rows have ended; nothing while the ledger does not answer.
    func remember() {
        guard let rows = try? gateway.faultRows() else { return }
        remembered.withLock { remembered in
            for row in rows where row.hasEnded && remembered[row.trace] == nil { remembered[row.trace] = row }
        }
    }

    /// What was seen to be wrong.
    func observations() throws -> [String] {
        let statement = Statement(
            name: "watch_credits",
            sql: "SELECT count(*), coalesce(sum(amount), 0) FROM credits WHERE external_id LIKE 'drop-%'")
        let rows = try ledger.query(statement)
        let given = Int64(creditsGiven.load(ordering: .relaxed))
        let expected = given * Self.credit.nanodollars
        let credits =
            rows.int(0, 0) == given && rows.int(0, 1) == expected
            ? [] : ["I19 \(given) credits were given, and \(rows.int(0, 0)) count \(rows.int(0, 1))"]
        return credits + overspent.withLock { $0.sorted().map { "I3 \($0) was overspent under load" } }
    }

    /// Runs the sweeper once.
    func sweep() {
        // It fails while a store is away; it comes again.
        _ = try? gateway.command(
            "job", "sweep", "--hold-grace-seconds", "\(FaultScene.sweepGraceSeconds)")
    }

    private func every(milliseconds: Int, _ work: () -> Void) {
        while !isOver.load(ordering: .relaxed) {
            work()
            let next = Deadline.after(milliseconds: milliseconds)
            while !next.isPast, !isOver.load(ordering: .relaxed) { usleep(20_000) }
        }
    }

    /// I3 at this moment: one statement sees credits, charges and holds together.
    private func lookForOverspending() {
        let statement = Statement(
            name: "watch_overspent",
            sql: """
                SELECT t.id FROM tenants t
                 WHERE (SELECT coalesce(sum(c.amount), 0) FROM credits c WHERE c.tenant_id = t.id) + t.credit_limit
                     < (SELECT coalesce(sum(CASE b.status WHEN 'committed' THEN b.charge WHEN 'pending' THEN b.hold END), 0)
                          FROM billing_transactions b WHERE b.tenant_id = t.id)
                """)
        guard let rows = try? ledger.query(statement) else { return }
        for row in 0..<rows.count { overspent.withLock { _ = $0.insert(rows.text(row, 0)) } }
    }

    /// Gives small credits, each until it is known to count: again under the same name when its fate is unknown.
    private func giveCredits() {
        var number = 0
        every(milliseconds: 300) {
            number += 1
            let isGiven = Eventually.holds(seconds: 60) {
                let outcome = try? gateway.stores.money.settlement.addCredit(
                    Self.credit, to: poor, kind: "test", externalID: "drop-\(number)",
                    period: TestStores.period)
                return outcome != nil
            }
            if isGiven { creditsGiven.add(1, ordering: .relaxed) }
        }
    }
}
