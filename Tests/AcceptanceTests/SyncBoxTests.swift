import Core
import Foundation
import Gateway
import Ledger
import Postgres
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing

/// The boxes of the original requirements about Redis and the ledger agreeing, each by its number.
@Suite struct SyncBoxTests {
    private func column(_ gateway: TestGateway, _ sql: String) throws -> [String] {
        let rows = try gateway.stores.money.database.query(Statement(name: "", sql: sql))
        return (0..<rows.count).map { rows.text($0, 0) }
    }

    @Test func `2.1 quotas are copied to the database, and a tenant that fails stops no other`() throws {
        let gateway = try TestGateway()
        let tenants = try ["acme", "broken", "other"].map { try gateway.stores.makeTenant($0, balance: "1") }
        for tenant in tenants {
            #expect(try gateway.chat(ChatOrder(), key: try gateway.stores.makeKey(tenant)).status == 200)
        }
        let redis = gateway.stores.money.redis
        _ = try redis.command(["HSET", QuotaKeys(tenants[1]).tenant, "balance", "much"])
        let run = try gateway.command("job", "quota-sync", "--all")
        #expect(run.status == 1)
        #expect(run.output.contains("2 success, 1 failure, 0 not in Redis, 3 total"))
        #expect(
            try column(gateway, "SELECT tenant_id || ' ' || balance || ' ' || daily_used FROM tenant_quotas")
                .sorted() == ["acme 999480000 1", "other 999480000 1"])
    }

    @Test func `2.2 budgets of API keys are copied to the database, as they are used`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "1")
        let budget = KeyBudget(limit: Money(decimal: "0.5"), period: .month)
        let key = try gateway.stores.makeKey(tenant, budget: budget)
        for _ in 0..<3 { #expect(try gateway.chat(ChatOrder(), key: key).status == 200) }
        let run = try gateway.command("job", "apikey-sync", "--all")
        #expect(run.status == 0, "\(run.output)")
        #expect(run.output.contains("1 success, 0 failure"))
        #expect(
            try column(gateway, "SELECT budget_limit || ' ' || budget_used FROM api_key_quotas")
                == ["500000000 1560000"])
    }

    @Test
    func `R4 Redis and the ledger agree soon after requests at once and after writes to Redis that fail`()
        throws
    {
        let gateway = try TestGateway(redisSettings: ["enable-debug-command": "yes"])
        let tenants = try (0..<3).map { try gateway.stores.makeTenant("tenant-\($0)", balance: "100") }
        let keys = try tenants.map { try gateway.stores.makeKey($0) }
        let clients = try Concurrently.begin(24) { index -> Int in
            var answered = 0
            for round in 0..<8 {
                let order = ChatOrder(isStream: (index + round).isMultiple(of: 2))
                answered += try gateway.insistingChat(order, key: keys[index % 3]).status == 200 ? 1 : 0
            }
            return answered
        }
        // Longer than a command may take: what was to be told then is told later.
        for _ in 0..<2 {
            usleep(200_000)
            _ = try? gateway.stores.money.redis.command(["DEBUG", "SLEEP", "1"])
        }
        #expect(try clients.wait().reduce(0, +) == 24 * 8)
        #expect(try gateway.command("reconcile").status == 0)
        // A hold whose reply was lost has no row: the sweep gives it back.
        let isOver = try Eventually.holds(seconds: 30) {
            _ = try gateway.command("job", "sweep", "--hold-grace-seconds", "1")
            return try gateway.stores.money.quota.tenantsWithHolds().isEmpty
        }
        #expect(isOver)
        for tenant in tenants { try gateway.stores.expectExactBooks(tenant) }
    }
}
