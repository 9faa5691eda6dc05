import Core
import Glibc
import Jobs
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct WarmUpTests {
    @Test func `a cold image is rebuilt by one of two hundred requests and all are served`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        _ = try bench.redis.command(["FLUSHALL"])
        let epoch = try bench.epoch(of: tenant)
        let holds = try Concurrently.run(200) { _ in try bench.reserve(tenant, 100) }
        #expect(try bench.epoch(of: tenant) == epoch + 1, "more than one has rebuilt")
        #expect(Set(holds.map(\.held.epoch)) == [epoch + 1])
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 980_000))
    }

    @Test func `of the requests of several processes, too, one rebuilds`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let processes = try (0..<4).map { index in
            var options = SettlementBench.Options()
            options.owner = "process-\(index)"
            return try bench.sibling(options)
        }
        _ = try bench.redis.command(["FLUSHALL"])
        let epoch = try bench.epoch(of: tenant)
        try Concurrently.run(60) { index in _ = try processes[index % 4].reserve(tenant, 100) }
        #expect(try bench.epoch(of: tenant) == epoch + 1, "more than one process has rebuilt")
        try bench.expectExactBooks(tenant)
    }

    @Test func `tenants are rebuilt beside each other`() throws {
        let bench = try SettlementBench()
        let tenants = try (0..<10).map { try bench.makeTenant("tenant-\($0)", balance: 1_000) }
        _ = try bench.redis.command(["FLUSHALL"])
        try Concurrently.run(50) { index in _ = try bench.reserve(tenants[index % 10], 100) }
        for tenant in tenants {
            #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 500))
        }
    }

    @Test func `a rebuild brings back balance, counts, limits and pending holds`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000, creditLimit: 50, dailyQuota: 4)
        try bench.settle(try bench.reserve(tenant, 100), charge: 30)
        bench.void(try bench.reserve(tenant, 100))
        let pending = try bench.reserve(tenant, 200)
        _ = try bench.redis.command(["FLUSHALL"])
        let next = try bench.reserve(tenant, 10)
        #expect(next.held.balanceBefore == Money(nanodollars: 770))
        #expect(next.held.dailyUsed == 3 && next.held.dailyQuota == 4)
        try bench.expectExactBooks(tenant)
        // The hold of before settles as if nothing had happened.
        #expect(try bench.settle(pending, charge: 150).balance == Money(nanodollars: 810))
        try bench.expectExactBooks(tenant)
    }

    @Test func `while another process rebuilds a request waits its time and is then refused`() throws {
        var options = SettlementBench.Options()
        options.waitMilliseconds = 300
        let bench = try SettlementBench(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.redis.command(["FLUSHALL"])
        _ = try bench.redis.command(["SET", QuotaKeys(tenant).warm, "another", "PX", "60000"])
        let epoch = try bench.epoch(of: tenant)
        let began = Deadline.now
        let outcomes = try bench.outcomes(of: 10, tenant, 10)
        #expect(outcomes.allSatisfy { $0 == "unavailable" }, "\(outcomes)")
        #expect(began.elapsedNanoseconds >= 290_000_000)
        #expect(began.elapsedNanoseconds < 10_000_000_000)
        #expect(try bench.epoch(of: tenant) == epoch)
    }

    @Test func `when the process that rebuilds dies its lease ends and another takes over`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.redis.command(["FLUSHALL"])
        _ = try bench.redis.command(["SET", QuotaKeys(tenant).warm, "dead", "PX", "200"])
        _ = try bench.reserve(tenant, 10)
        try bench.expectExactBooks(tenant)
    }

    @Test func `a late install, by a process that was paused, is refused`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let stale = try bench.reserve(tenant, 400)
        let incarnation = try #require(try bench.quota.image(of: tenant)).incarnation
        _ = try bench.redis.command(["FLUSHALL"])
        // The paused process has its lease and its epoch, and has read its snapshot …
        _ = try bench.quota.takeLease(
            tenant: tenant, token: "paused", milliseconds: 50, incarnation: incarnation)
        let epoch = try #require(try bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0))
        let snapshot = ImageContents(
            epoch: epoch, balance: Money(nanodollars: 600),
            limits: TenantLimits(version: 1, creditLimit: .zero, dailyQuota: nil, monthlyQuota: nil),
            creditSequence: 1, period: SettlementBench.period, dailyUsed: 1, monthlyUsed: 1, holds: [])
        // … then another rebuilds, and serves.
        try bench.settle(stale, charge: 400)
        let served = try bench.reserve(tenant, 600)
        let reply = try bench.quota.install(
            snapshot, tenant: tenant, token: "paused", incarnation: incarnation)
        #expect(reply != .installed)
        #expect(bench.refusal(tenant, 1)?.limit == .balance)
        try bench.settle(served, charge: 600)
        try bench.expectExactBooks(tenant)
    }
}
