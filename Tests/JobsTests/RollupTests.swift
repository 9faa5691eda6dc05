import Core
import Ledger
import Postgres
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@testable import Jobs

@Suite struct RollupTests {
    private static let period = SettlementBench.period

    /// A trace id of some time ago.
    private func trace(minutesAgo minutes: Int64) -> TraceID {
        TraceID(
            unixMilliseconds: WallClock.unixMilliseconds - minutes * 60_000,
            random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
    }

    private func rollUp(_ bench: SettlementBench, behindSeconds: Int = 3_600) throws -> RollupJob.Summary {
        try RollupJob(ledger: bench.ledger, behindSeconds: behindSeconds).run()
    }

    /// Charges a request that began some time ago.
    private func charge(
        _ bench: SettlementBench, _ tenant: TenantID, _ amount: Int64, minutesAgo: Int64
    ) throws {
        try bench.settle(
            try bench.reserve(tenant, amount + 5, trace: trace(minutesAgo: minutesAgo)), charge: amount)
    }

    @Test func `ended rows are added up by key, day and hour, and once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        for (amount, minutes) in [(10, 300), (20, 200), (30, 90)] {
            try charge(bench, tenant, Int64(amount), minutesAgo: Int64(minutes))
        }
        bench.void(try bench.reserve(tenant, 7, trace: trace(minutesAgo: 80)))
        try charge(bench, tenant, 500, minutesAgo: 0)
        let ahead = try RollupJob(ledger: bench.ledger, behindSeconds: 3_600).dryRun()
        #expect(ahead.rows == 4 && !ahead.isHeldBack)
        let first = try rollUp(bench)
        #expect(first.rows == 4 && !first.isHeldBack)
        for _ in 0..<2 { #expect(try rollUp(bench).rows == 0) }
        let sums = try bench.execute(
            "SELECT tenant_id, api_key_id, day, committed, voided, charged FROM ledger_rollups")
        #expect(sums.count == 1 && sums.text(0, 0) == "acme" && sums.text(0, 1) == "key1")
        #expect(sums.int(0, 2) == Int64(Self.period.day))
        #expect(sums.int(0, 3) == 3 && sums.int(0, 4) == 1 && sums.int(0, 5) == 60)
        let hours = try bench.execute(
            "SELECT sum(committed), sum(voided), sum(charged), count(DISTINCT hour) FROM usage_hourly")
        #expect(hours.int(0, 0) == 3 && hours.int(0, 1) == 1 && hours.int(0, 2) == 60 && hours.int(0, 3) >= 3)
        try bench.expectExactBooks(tenant)
        #expect(try LedgerReader.totals(bench.database, of: tenant).committed == 4)
    }

    @Test func `a rebuild from sums and the rows behind them is the one from all rows`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        for minutes in [300, 90, 10] as [Int64] { try charge(bench, tenant, 11, minutesAgo: minutes) }
        _ = try bench.reserve(tenant, 100)
        let before = try #require(
            try LedgerReader.snapshot(bench.database, of: tenant, in: Self.period))
        #expect(try rollUp(bench).rows == 2)
        let after = try #require(
            try LedgerReader.snapshot(bench.database, of: tenant, in: Self.period))
        #expect(after.balance == before.balance && after.balance == Money(nanodollars: 10_000 - 33 - 100))
        #expect(after.dailyUsed == 4 && after.monthlyUsed == 4 && before.dailyUsed == 4)
        #expect(after.holds.map(\.hold) == before.holds.map(\.hold) && after.holds.count == 1)
        _ = try bench.redis.command(["DEL", QuotaKeys(tenant).tenant, QuotaKeys(tenant).holds])
        _ = try bench.reserve(tenant, 1)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.dailyUsed == 5)
    }

    @Test func `a row that is pending keeps the watermark before it`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        try charge(bench, tenant, 10, minutesAgo: 300)
        let running = try bench.reserve(tenant, 50, trace: trace(minutesAgo: 200))
        try charge(bench, tenant, 20, minutesAgo: 100)
        let held = try rollUp(bench)
        #expect(held.rows == 1 && held.isHeldBack && held.watermark == running.trace)
        try bench.settle(running, charge: 3)
        let after = try rollUp(bench)
        #expect(after.rows == 2 && !after.isHeldBack)
        #expect(try bench.execute("SELECT charged FROM ledger_rollups").int(0, 0) == 33)
        try bench.expectExactBooks(tenant)
    }

    @Test func `where time is closed no row is inserted any more`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        try charge(bench, tenant, 10, minutesAgo: 50)
        _ = try rollUp(bench)
        try charge(bench, tenant, 10, minutesAgo: 50)
        // Everything of an hour ago is closed, though there was no row to add.
        #expect(throws: SettlementError.self) {
            try bench.reserve(tenant, 10, trace: trace(minutesAgo: 61))
        }
        try bench.expectExactBooks(tenant)
        let refused = bench.writer.write([.pending(try bench.pendingRow(tenant, trace(minutesAgo: 70)))])
        guard case .failed(.server(let state, _, _)) = refused.first else {
            Issue.record("\(refused)")
            return
        }
        #expect(state == "23001")
    }

    @Test func `a row that is being inserted while time is closed is waited for and added`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let transaction = try bench.owner.begin()
        let old = trace(minutesAgo: 100)
        try transaction.execute(
            sql: """
                INSERT INTO billing_transactions (tenant_id, trace_id, epoch, rseq, day, month, hold, limits_version,
                    balance_before, balance_after, owner, deadline, capability, model, is_stream, status, charge, settled_at)
                VALUES ('\(tenant)', '\(old)', 0, 1, 20250614, 202506, 9, 1, 0, 0, 'x', now(), '', '', false, 'committed', 9,
                    now())
                """)
        let job = try Concurrently.begin(1) { _ in try rollUp(bench) }
        let isWaiting = try Eventually.holds {
            try bench.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").count == 1
        }
        #expect(isWaiting)
        try transaction.commit()
        #expect(try job.wait()[0].rows == 1)
        #expect(try bench.execute("SELECT charged FROM ledger_rollups").int(0, 0) == 9)
    }

    @Test func `a hold whose time is closed is released without a row`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        _ = try bench.reserve(tenant, 1)
        let old = trace(minutesAgo: 100)
        let order = HoldOrder(
            tenant: tenant, trace: old, key: nil, amount: Money(nanodollars: 70), period: Self.period)
        _ = try bench.quota.deduct(order)
        _ = try rollUp(bench)
        #expect(try bench.sweep(graceSeconds: 60).holdsReleased == 1)
        #expect(try LedgerReader.rows(bench.database, [(tenant, old)]).isEmpty)
        try bench.expectExactBooks(tenant)
    }

    @Test func `snapshots are exact while rows are rolled up`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        for minute in 0..<60 as Range<Int64> { try charge(bench, tenant, 7, minutesAgo: 65 + minute) }
        let fence = try bench.ledger.raiseFence(behindSeconds: 3_600)
        let isDone = Locked(false)
        try Concurrently.run(3) { worker in
            guard worker == 0 else {
                while !isDone.withLock({ $0 }) {
                    let snapshot = try LedgerReader.snapshot(bench.database, of: tenant, in: Self.period)
                    #expect(snapshot?.balance == Money(nanodollars: 1_000_000 - 60 * 7))
                    #expect(snapshot?.dailyUsed == 60)
                    #expect(
                        try LedgerReader.totals(bench.database, of: tenant).charged
                            == Money(nanodollars: 60 * 7))
                }
                return
            }
            defer { isDone.withLock { $0 = true } }
            var rows: Int64 = 0
            for minute in (60..<130 as Range<Int64>).reversed() {
                let moment = TraceID(lowestAtUnixMilliseconds: WallClock.unixMilliseconds - minute * 60_000)
                rows += try bench.ledger.rollUp(below: min(moment, fence))?.rows ?? 0
            }
            #expect(rows == 60)
        }
    }

    @Test func `several roll-ups at once add each row once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        for minute in 0..<30 as Range<Int64> { try charge(bench, tenant, 7, minutesAgo: 61 + 10 * minute) }
        let summaries = try Concurrently.run(4) { _ in try rollUp(bench) }
        #expect(summaries.reduce(0) { $0 + $1.rows } == 30)
        #expect(try bench.execute("SELECT charged FROM ledger_rollups").int(0, 0) == 210)
    }
}
