import Core
import Ledger
import Postgres
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing

@testable import Jobs

@Suite struct SyncTests {
    private func sync(_ bench: SettlementBench, all: Bool = false) throws -> SyncSummary {
        try job(bench).run(all ? .all : .changed)
    }

    private func job(_ bench: SettlementBench) -> QuotaSyncJob {
        QuotaSyncJob(
            quota: bench.quota, ledger: bench.ledger, audit: bench.audit(), reconciler: bench.reconciler(),
            pageMax: 2)
    }

    private func soil(_ bench: SettlementBench, _ tenants: TenantID...) throws {
        try bench.quota.putBackDirtyTenants(tenants)
    }

    private func balances(_ bench: SettlementBench) throws -> [String] {
        let rows = try bench.execute(
            "SELECT tenant_id, balance, held, daily_used, day, monthly_used, month FROM tenant_quotas ORDER BY 1"
        )
        return (0..<rows.count).map { row in
            (0..<7).map { rows.text(row, $0) }.joined(separator: " ")
        }
    }

    @Test func `the tenants that have changed are copied, and once`() throws {
        let bench = try SettlementBench()
        let tenants = try (1...5).map { try bench.makeTenant("t\($0)", balance: 1_000) }
        for tenant in tenants { _ = try bench.reserve(tenant, 10) }
        _ = try sync(bench)
        try bench.settle(try bench.reserve(tenants[2], 100), charge: 60)
        try soil(bench, tenants[0], tenants[2], tenants[3])
        #expect(try sync(bench) == SyncSummary(success: 3))
        #expect(try sync(bench) == SyncSummary())
        let copied = try balances(bench)
        #expect(copied.contains("t1 990 10 1 20250614 1 202506"))
        #expect(copied.contains("t3 930 10 2 20250614 2 202506"))
        #expect(try sync(bench, all: true) == SyncSummary(success: 5))
        #expect(try balances(bench).count == 5)
    }

    @Test func `a tenant without an image or with a broken one stops no other`() throws {
        let bench = try SettlementBench()
        let tenants = try (1...3).map { try bench.makeTenant("t\($0)", balance: 1_000) }
        let cold = try bench.makeTenant("cold")
        _ = try bench.redis.command(["HSET", QuotaKeys(tenants[1]).tenant, "balance", "much"])
        try soil(bench, tenants[0], tenants[1], tenants[2], cold)
        let summary = try sync(bench)
        #expect(summary.success == 2 && summary.failure == 1 && summary.absent == 1 && summary.total == 4)
        #expect(summary.firstFailure?.hasPrefix("t2: ") == true)
    }

    @Test func `what cannot be stored is copied the next time`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        try bench.execute("ALTER TABLE tenant_quotas RENAME TO away")
        try soil(bench, tenant)
        #expect(throws: JobError.self) { try sync(bench) }
        try bench.execute("ALTER TABLE away RENAME TO tenant_quotas")
        #expect(try sync(bench) == SyncSummary(success: 1))
    }

    @Test func `an older snapshot never replaces a newer one`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let early = try bench.ledger.clock()
        try soil(bench, tenant)
        _ = try sync(bench)
        try bench.ledger.store(
            [
                QuotaSnapshot(
                    tenant: tenant, balance: .zero, held: .zero, dailyUsed: 0, monthlyUsed: 0,
                    period: SettlementBench.period, epoch: 0, limitsVersion: 0)
            ], readAt: early)
        #expect(try balances(bench).first?.hasPrefix("acme 1000 ") == true)
    }

    @Test func `a dry run changes nothing, and a run of one tenant copies no other`() throws {
        let bench = try SettlementBench()
        let tenants = try (1...3).map { try bench.makeTenant("t\($0)", balance: 1_000) }
        try soil(bench, tenants[0], tenants[1], tenants[2])
        #expect(try job(bench).run(.changed, isDryRun: true) == SyncSummary(success: 3))
        #expect(try balances(bench).isEmpty)
        #expect(try job(bench).run(.only(tenants[1])) == SyncSummary(success: 1))
        #expect(try balances(bench).map { $0.prefix(2) } == ["t2"])
        #expect(try job(bench).run(.only(try bench.makeTenant("cold"))) == SyncSummary(absent: 1))
        #expect(try sync(bench) == SyncSummary(success: 3))
    }

    @Test func `a difference is copied and told, and is an alarm above a dollar`() throws {
        let bench = try SettlementBench()
        let tenants = try (1...3).map { try bench.makeTenant("t\($0)", balance: 1_000) }
        let key = try bench.makeKey(tenants[2], budget: 5_000)
        _ = try bench.engine.reserve(
            bench.order(tenants[2], 10, key: key, hasBudget: true, limitsVersion: 2))
        func change(_ key: String, _ field: String, _ amount: Int64) throws {
            _ = try bench.redis.command(["HINCRBY", key, field, "\(amount)"])
        }
        try change(QuotaKeys(tenants[0]).tenant, "balance", -400_000_000)
        try change(QuotaKeys(tenants[1]).tenant, "balance", 600_000_000)
        let small = try sync(bench, all: true)
        #expect(small.success == 3 && small.unexplained == Money(nanodollars: 1_000_000_000))
        #expect(!small.isAlarming && small.differences.count == 2)
        #expect(small.differences.first == "t1: Redis has $0.400000000 too little")
        try change(QuotaKeys(tenants[0]).tenant, "balance", -1)
        #expect(try sync(bench, all: true).isAlarming)

        let keys = KeySyncJob(ledger: bench.ledger, audit: bench.audit(), reconciler: bench.reconciler())
        #expect(try keys.run(.all).differences == [])
        try change(QuotaKeys(tenants[2]).budget(of: key), "budget_used", 3)
        let budgets = try keys.run(.all)
        #expect(budgets.unexplained == Money(nanodollars: 3) && budgets.differences.count == 1)
    }

    @Test func `budgets of keys are copied after their tenant was`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let other = try bench.makeTenant("other", balance: 1_000)
        let keys = [
            try bench.makeKey(tenant, budget: 500, .month), try bench.makeKey(tenant),
            try bench.makeKey(other, budget: 900),
        ]
        for (owner, key) in [(tenant, keys[0]), (other, keys[2])] {
            _ = try bench.engine.reserve(
                bench.order(owner, 17, key: key, hasBudget: true, limitsVersion: 2))
        }
        let job = KeySyncJob(
            ledger: bench.ledger, audit: bench.audit(), reconciler: bench.reconciler(), pageMax: 1)
        _ = try bench.quota.takeDirtyTenants(countMax: 10)
        #expect(try job.run(.changed) == SyncSummary())
        try soil(bench, tenant)
        _ = try sync(bench)
        #expect(try job.run(.changed, isDryRun: true) == SyncSummary(success: 1))
        #expect(try job.run(.changed) == SyncSummary(success: 1))
        #expect(try job.run(.changed) == SyncSummary())
        #expect(try job.run(.all) == SyncSummary(success: 2))
        #expect(try job.run(.only(other)) == SyncSummary(success: 1))
        let rows = try bench.execute(
            "SELECT api_key_id, budget_limit, budget_used, period FROM api_key_quotas ORDER BY budget_limit")
        #expect(rows.count == 2 && rows.text(0, 0) == keys[0].description)
        #expect(rows.int(0, 1) == 500 && rows.int(0, 2) == 17 && rows.text(0, 3) == "202506")
        #expect(rows.int(1, 1) == 900 && rows.text(1, 3) == "total")
    }
}
