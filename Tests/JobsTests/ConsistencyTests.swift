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

@Suite struct ConsistencyTests {
    private func check(_ bench: SettlementBench, stepTenants: Int = 2) throws -> ConsistencyJob.Summary {
        try ConsistencyJob(
            reconciler: bench.reconciler(), ledger: bench.ledger, audit: bench.audit(),
            stepTenants: stepTenants
        ).run()
    }

    /// Publishes a price: nano-dollars a million tokens.
    private func publish(_ bench: SettlementBench) throws -> Int64 {
        try bench.execute(
            """
            INSERT INTO prices (model, input, cached_input, cache_write, cache_write_hour, output, reasoning,
                audio_input, audio_output, per_request)
            VALUES ('m', 3500001, 2, 3, 4, 30000000, 6, 7, 8, 11) RETURNING version
            """
        ).int(0, 0)
    }

    /// Charges a request as the gateway does, but for this difference.
    private func charge(
        _ bench: SettlementBench, _ tenant: TenantID, price: Int64, off: Int64 = 0, hold: Int64 = 100_000,
        minutesAgo: Int64 = 0
    ) throws {
        let trace = TraceID(
            unixMilliseconds: WallClock.unixMilliseconds - minutesAgo * 60_000,
            random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
        let hold = try bench.reserve(tenant, hold, trace: trace)
        let rates = Price.Rates(
            input: 3_500_001, output: 30_000_000, cachedInput: 2, cacheWrite: 3, cacheWriteHour: 4,
            reasoning: 6, audioInput: 7, audioOutput: 8)
        let usage = Usage(input: 7, cachedInput: 9, output: 5, reasoning: 1_000_003)
        let cost = try #require(
            Price(version: price, rates: rates, perRequest: Money(nanodollars: 11)).cost(of: usage))
        var settlement = bench.committed(hold, min(cost, hold.amount).nanodollars + off)
        settlement.usage = usage
        settlement.priceVersion = price
        _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
    }

    @Test func `books that are right are exact, in steps of any size`() throws {
        let bench = try SettlementBench()
        let price = try publish(bench)
        let tenants = try (1...5).map { try bench.makeTenant("t\($0)", balance: 1_000_000) }
        _ = try bench.makeTenant("cold")
        for tenant in tenants {
            try charge(bench, tenant, price: price)
            try charge(bench, tenant, price: price, hold: 20)
            try charge(bench, tenant, price: price, minutesAgo: 200)
        }
        _ = try bench.reserve(tenants[0], 100)
        for size in [1, 2, 100] {
            let summary = try check(bench, stepTenants: size)
            #expect(summary.isExact, "\(summary)")
            #expect(summary.compared == 5 && summary.notLoaded == 1 && summary.holds == 1)
            #expect(summary.charges == 10)
        }
        _ = try RollupJob(ledger: bench.ledger, behindSeconds: 3_600).run()
        // Hours are looked at by chance.
        let isSummedUp = try Eventually.holds {
            let summary = try check(bench)
            #expect(summary.isExact, "\(summary)")
            return summary.rows == 5
        }
        #expect(isSummedUp)
    }

    @Test func `each tenant that drifts has a gauge with its sign, and their sum has none`() throws {
        let bench = try SettlementBench()
        for (name, change) in [("a", 5), ("b", -7), ("c", 0)] {
            let tenant = try bench.makeTenant(name, balance: 1_000)
            _ = try bench.reserve(tenant, 1)
            _ = try bench.redis.command(["HINCRBY", QuotaKeys(tenant).tenant, "balance", "\(change)"])
        }
        let summary = try check(bench)
        #expect(!summary.isExact && summary.drift == Money(nanodollars: 12))
        let name = "tollgate_ledger_drift_nanodollars"
        #expect(
            summary.metrics.filter { $0.name == name } == [
                JobMetric(name, labels: [("tenant", "a")], 5), JobMetric(name, labels: [("tenant", "b")], -7),
            ])
        #expect(summary.metrics.contains(JobMetric("tollgate_ledger_drift_sum_nanodollars", 12)))
        #expect(summary.metrics.contains(JobMetric("tollgate_ledger_problems", 2)))
    }

    @Test(arguments: [-1, 1] as [Int64])
    func `a charge that is not what its usage costs is named`(off: Int64) throws {
        let bench = try SettlementBench()
        let price = try publish(bench)
        let tenant = try bench.makeTenant(balance: 1_000_000)
        try charge(bench, tenant, price: price)
        #expect(try check(bench).isExact)
        try charge(bench, tenant, price: price, off: off)
        let summary = try check(bench)
        #expect(summary.problems.count == 1 && summary.differing.isEmpty)
        #expect(summary.problems.first?.contains("was charged") == true)
    }

    @Test func `a charge without a price is named`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        try bench.settle(try bench.reserve(tenant, 10), charge: 3)
        #expect(try check(bench).problems.first?.contains("names no price") == true)
    }

    @Test func `ended rows that were changed behind the ledger's back are found`() throws {
        let bench = try SettlementBench()
        let price = try publish(bench)
        let tenant = try bench.makeTenant(balance: 1_000_000)
        try charge(bench, tenant, price: price, minutesAgo: 200)
        _ = try RollupJob(ledger: bench.ledger, behindSeconds: 3_600).run()
        // The newest whole hour is always among those looked at, so the row's is made that.
        try bench.execute(
            """
            UPDATE job_watermarks SET trace_id = trace_id_floor(date_trunc('hour', trace_id_time(b.id) + interval '1 hour'))
              FROM (SELECT trace_id AS id FROM billing_transactions) b WHERE job = 'rollup'
            """)
        #expect(try check(bench).isExact)
        try bench.execute("ALTER TABLE billing_transactions DISABLE TRIGGER terminal_rows_stay")
        try bench.execute("UPDATE billing_transactions SET output_tokens = output_tokens + 1")
        let changed = try check(bench)
        #expect(changed.problems.contains { $0.hasSuffix("lacks terminal_rows_stay") })
        #expect(changed.problems.contains { $0.contains("are not those that were rolled up") })
    }

    @Test func `sums by key that are not those by hour are found`() throws {
        let bench = try SettlementBench()
        let price = try publish(bench)
        let tenant = try bench.makeTenant(balance: 1_000_000)
        try charge(bench, tenant, price: price, minutesAgo: 200)
        _ = try RollupJob(ledger: bench.ledger, behindSeconds: 3_600).run()
        try bench.execute("UPDATE ledger_rollups SET charged = charged + 1")
        let summary = try check(bench)
        #expect(summary.differing.map(\.drift) == [Money(nanodollars: 1)])
        #expect(summary.problems.count == 1)
        #expect(summary.problems.first?.contains("$0.000000001 more") == true)
    }

    @Test func `without a partition's guards the ledger is not safe`() throws {
        let bench = try SettlementBench()
        #expect(try check(bench).isExact)
        try bench.execute("DROP TRIGGER closed_time_stays_closed ON billing_transactions")
        #expect(try check(bench).problems == ["billing_transactions lacks closed_time_stays_closed"])
    }
}
