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
        try QuotaSyncJob(quota: bench.quota, ledger: bench.ledger, audit: bench.audit(), pageMax: 2)
            .run(all: all)
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

    @Test func `budgets of keys are copied after their tenant was`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        for key in ["k1", "k2", "k3"] {
            try bench.execute(
                "INSERT INTO api_keys (id, tenant_id, secret_hash) VALUES ('\(key)', '\(tenant)', '')")
        }
        let job = KeySyncJob(quota: bench.quota, ledger: bench.ledger, pageMax: 2)
        #expect(try job.run(all: false) == SyncSummary())
        for key in ["k1", "k3"] {
            _ = try bench.redis.command(
                ["HSET", QuotaKeys(tenant).budget(of: key), "budget_used", "17", "period", "202506"])
        }
        _ = try bench.redis.command(["HSET", QuotaKeys(tenant).budget(of: "k3"), "budget_limit", "900"])
        try soil(bench, tenant)
        _ = try sync(bench)
        #expect(try job.run(all: false) == SyncSummary(success: 2, absent: 1))
        #expect(try job.run(all: false) == SyncSummary(absent: 1))
        #expect(try job.run(all: true) == SyncSummary(success: 2, absent: 1))
        let rows = try bench.execute(
            "SELECT api_key_id, budget_limit, budget_used, period FROM api_key_quotas ORDER BY 1")
        #expect(rows.count == 2 && rows.optionalInt(0, 1) == nil && rows.optionalInt(1, 1) == 900)
        #expect(rows.int(1, 2) == 17 && rows.text(1, 3) == "202506")
    }
}
