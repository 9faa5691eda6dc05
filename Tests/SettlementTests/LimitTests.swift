import Core
import Ledger
import Postgres
import Quota
import Redis
import Settlement
import Tenancy
import TestSupport
import TestTools
import Testing

/// Limits and budgets over both stores: from the ledger into images, and through every rebuild.
@Suite struct LimitTests {
    // MARK: - Budgets

    /// What the ledger says is gone of a key's budget.
    private func spent(_ bench: SettlementBench, _ key: APIKeyID) throws -> Int64 {
        try bench.execute(
            """
            SELECT coalesce(sum(CASE status WHEN 'committed' THEN charge WHEN 'pending' THEN hold END), 0)
              FROM billing_transactions WHERE api_key_id = '\(key)'
            """
        ).int(0, 0)
    }

    @Test func `a budget counts over requests, hosts and restarts`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let key = try bench.makeKey(tenant, budget: 100)
        func order(_ amount: Int64) -> ReserveOrder {
            bench.order(tenant, amount, key: key, hasBudget: true, limitsVersion: 2)
        }
        let running = try bench.engine.reserve(order(30))
        try bench.settle(try bench.engine.reserve(order(40)), charge: 25)
        #expect(bench.refusal(order(46))?.limit == .budget)
        // Another host.
        var options = SettlementBench.Options()
        options.owner = "other"
        let other = try bench.sibling(options)
        #expect(other.refusal(order(46))?.used == 55)
        try other.settle(try other.engine.reserve(order(45)), charge: 5)
        // Redis is lost, and with it what only it knew.
        _ = try bench.redis.command(["FLUSHALL"])
        #expect(other.refusal(order(41))?.used == 60)
        let last = try other.engine.reserve(order(40))
        #expect(last.held.budget?.used == Money(nanodollars: 100))
        // A process of a later start, to which the running request is one of somebody else's.
        let later = try bench.sibling(SettlementBench.Options())
        #expect(later.refusal(order(1))?.limit == .budget)
        try bench.settle(running, charge: 10)
        other.void(last)
        #expect(try later.engine.reserve(order(60)).held.budget?.used == Money(nanodollars: 100))
        #expect(try spent(bench, key) == 100)
        try bench.expectExactBooks(tenant)
    }

    @Test(arguments: [BudgetPeriod.day, .month, .total])
    func `a rebuild counts a budget's own period`(period: BudgetPeriod) throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let key = try bench.makeKey(tenant, budget: 1_000, period)
        let days: [Int32] = [20_250_531, 20_250_613, 20_250_614]
        for (day, charge) in zip(days, [100, 20, 3] as [Int64]) {
            let order = bench.order(
                tenant, 200, key: key, period: Period(day: day), hasBudget: true, limitsVersion: 2)
            try bench.settle(try bench.engine.reserve(order), charge: charge)
        }
        let order = bench.order(tenant, 50, key: key, hasBudget: true, limitsVersion: 2)
        _ = try bench.engine.reserve(order)
        let expected: Int64 =
            switch period {
            case .day: 53
            case .month: 73
            case .total: 173
            }
        let known = try bench.quota.budget(of: key, tenant: tenant)
        #expect(known?.used == Money(nanodollars: expected))
        _ = try bench.redis.command(["FLUSHALL"])
        try bench.settle(try bench.reserve(tenant, 1), charge: 1)
        #expect(try bench.quota.budget(of: key, tenant: tenant) == known)
    }

    @Test func `what a key spent before it had a budget counts, and that of other keys does not`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let (key, other) = (try bench.makeKey(tenant), try bench.makeKey(tenant))
        for (key, charge) in [(key, 70), (other, 600)] as [(APIKeyID, Int64)] {
            try bench.settle(try bench.engine.reserve(bench.order(tenant, 900, key: key)), charge: charge)
        }
        let running = try bench.engine.reserve(bench.order(tenant, 10, key: key))
        let register = TenantRegister(database: bench.database)
        _ = try register.setBudget(ofKey: key.description, limit: .to(100), period: nil)
        let order = bench.order(tenant, 21, key: key, hasBudget: true, limitsVersion: 2)
        #expect(bench.refusal(order)?.used == 80)
        try bench.settle(running, charge: 9)
        #expect(try bench.engine.reserve(order).held.budget?.used == Money(nanodollars: 100))
    }

    /// I3 and I4 for keys.
    @Test func `whatever comes in which order, a key's charges and holds stay within its budget`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let budget: Int64 = 2_000
        let keys = try (0..<3).map { _ in try bench.makeKey(tenant, budget: budget) }
        var options = SettlementBench.Options()
        options.owner = "other"
        let processes = [bench, try bench.sibling(options)]
        let refused = try Concurrently.run(12) { thread in
            var random = TestRandom(seed: UInt64(thread))
            let process = processes[thread % 2]
            var refused = 0
            for round in 0..<40 {
                let order = process.order(
                    tenant, Int64.random(in: 0...120, using: &random),
                    key: keys.randomElement(using: &random),
                    hasBudget: Bool.random(using: &random), limitsVersion: 4)
                if thread == 0, round % 10 == 9 { _ = try bench.redis.command(["FLUSHALL"]) }
                do throws(SettlementError) {
                    let hold = try process.engine.reserve(order)
                    if let budget = hold.held.budget { #expect(budget.used <= budget.limit) }
                    let charge = Int64.random(in: 0...hold.amount.nanodollars, using: &random)
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        process.void(hold)
                    } else if Int.random(in: 0..<8, using: &random) > 0 {
                        let settlement = process.committed(hold, charge)
                        _ = try process.engine.settle(hold, settlement, otherwise: settlement)
                    }
                } catch {
                    switch error {
                    case .refused(let refusal):
                        #expect(refusal.limit == .budget)
                        refused += 1
                    // The image was lost again and again.
                    case .unavailable: break
                    default: throw error
                    }
                }
            }
            return refused
        }
        #expect(refused.reduce(0, +) > 0)
        for key in keys {
            let spent = try spent(bench, key)
            #expect(spent <= budget)
            // An image stands: the last request has left one.
            _ = try bench.engine.reserve(
                bench.order(tenant, 0, key: keys[0], hasBudget: true, limitsVersion: 4))
            #expect(try bench.quota.budget(of: key, tenant: tenant)?.used == Money(nanodollars: spent))
        }
        try bench.expectExactBooks(tenant)
    }

    // MARK: - Limits that change

    @Test func `new limits are in force at once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.reserve(tenant, 1)
        let register = TenantRegister(database: bench.database)
        var change = TenantChange()
        change.concurrency = .to(1)
        #expect(try register.set(tenant, change) == 2)
        try bench.engine.applyLimits(of: tenant)
        // Without a caller that knows of them.
        #expect(bench.refusal(tenant, 1)?.limit == .concurrency)
        change = TenantChange()
        change.concurrency = LimitChange.none
        change.dailyQuota = .to(1)
        #expect(try register.set(tenant, change) == 3)
        try bench.engine.applyLimits(of: tenant)
        #expect(bench.refusal(tenant, 1)?.limit == .dailyQuota)
    }

    @Test func `limits that only the ledger was told of are in force once their version is known`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.reserve(tenant, 1)
        var change = TenantChange()
        change.monthlyQuota = .to(1)
        _ = try TenantRegister(database: bench.database).set(tenant, change)
        // The image is older than the caller's knowledge.
        #expect(bench.refusal(bench.order(tenant, 1, limitsVersion: 2))?.limit == .monthlyQuota)
        #expect(try bench.quota.image(of: tenant)?.epoch == 2)
        // And from then on as young: it is not dropped again.
        #expect(bench.refusal(bench.order(tenant, 1, limitsVersion: 2))?.limit == .monthlyQuota)
        #expect(try bench.quota.image(of: tenant)?.epoch == 2)
    }

    @Test func `an image with limits as new as the ledger's is kept`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.reserve(tenant, 1)
        let before = try bench.quota.image(of: tenant)
        try bench.engine.applyLimits(of: tenant)
        #expect(try bench.quota.image(of: tenant) == before)
    }

    @Test func `a limit of tokens is corrected by what the answer took`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000, tokensPerMinute: 100)
        // Early in a minute, so that it does not end on the way.
        #expect(
            try Eventually.holds {
                (try bench.redis.command(["TIME"]).elements?[0].integer ?? 0) % 60 < 50
            })
        let hold = try bench.engine.reserve(bench.order(tenant, 10, tokens: 90))
        #expect(bench.refusal(bench.order(tenant, 10, tokens: 11))?.limit == .tokensPerMinute)
        var settlement = bench.committed(hold, 4)
        settlement.usage = Usage(input: 10, output: 15)
        _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
        let next = try bench.engine.reserve(bench.order(tenant, 10, tokens: 75))
        #expect(next.held.minute?.tokens == 100)
    }
}
