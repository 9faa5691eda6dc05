import Core
import Jobs
import Ledger
import Postgres
import Quota
import Redis
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

@testable import Settlement

/// The live check I2: exact whatever runs, and it sees what is wrong.
@Suite struct ReconcilerTests {
    private func both(_ bench: SettlementBench, _ tenant: TenantID) throws -> ReconciledTenant {
        try #require(try bench.reconciler().compare([tenant]).tenants.first)
    }

    @Test func `both sides agree in every state of a request`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        #expect(try both(bench, tenant).isExact)
        let first = try bench.reserve(tenant, 300)
        let second = try bench.reserve(tenant, 400)
        let held = try both(bench, tenant)
        #expect(held.isExact && held.image.holds.count == 2)
        #expect(held.shown == Money(nanodollars: 10_000) && held.sums.charged == .zero)
        try bench.settle(first, charge: 120)
        bench.void(second)
        let settled = try both(bench, tenant)
        #expect(settled.isExact && settled.sums.charged == Money(nanodollars: 120))
        #expect(settled.image.dailyUsed == 1 && settled.sums.dailyUsed == 1)
    }

    @Test func `a charge that is in the ledger and not in Redis yet is no difference`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let committed = try bench.reserve(tenant, 300)
        let voided = try bench.reserve(tenant, 400)
        #expect(bench.writer.write([.settlement(bench.committed(committed, 100))]).count == 1)
        #expect(bench.writer.write([.settlement(bench.voided(voided))]).count == 1)
        let between = try both(bench, tenant)
        #expect(between.isExact && between.image.holds.count == 2)
        #expect(between.sums.charged == .zero)
    }

    @Test func `a credit that has not reached Redis is no difference`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        _ = try bench.ledger.addCredit(
            Money(nanodollars: 500), to: tenant, kind: "t", externalID: "late")
        let between = try both(bench, tenant)
        #expect(between.isExact && between.sums.credited == Money(nanodollars: 10_000))
    }

    @Test func `a request that begins after the image was read is no difference`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let hold = try bench.reserve(tenant, 300)
        try bench.settle(hold, charge: 50)
        let watermark = try bench.ledger.rollupWatermark()
        let image = try #require(try bench.quota.read([tenant])[0].get())
        // Begins and ends between the two reads, and so does one that an image made anew has admitted.
        try bench.settle(try bench.reserve(tenant, 200), charge: 70)
        _ = try bench.redis.command(["DEL", QuotaKeys(tenant).tenant])
        try bench.settle(try bench.reserve(tenant, 200), charge: 80)
        let sums = try #require(
            try bench.audit().sums(of: [SeenImage(tenant, image)], rolledUpTo: watermark)?[tenant])
        #expect(sums.charged == Money(nanodollars: 50) && sums.dailyUsed == 1)
        #expect(ReconciledTenant(tenant: tenant, image: image, sums: sums).isExact)
    }

    @Test func `a rebuilt image is compared with all that came before it`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        try bench.settle(try bench.reserve(tenant, 300), charge: 50)
        let old = try bench.reserve(tenant, 400)
        _ = try bench.redis.command(["DEL", QuotaKeys(tenant).tenant, QuotaKeys(tenant).holds])
        let new = try bench.reserve(tenant, 500)
        #expect(try both(bench, tenant).isExact)
        try bench.settle(old, charge: 90)
        try bench.settle(new, charge: 10)
        let both = try both(bench, tenant)
        #expect(both.isExact && both.sums.charged == Money(nanodollars: 150))
    }

    @Test(arguments: [BudgetPeriod.day, .month, .total])
    func `a budget is compared with the charges and holds of its period`(period: BudgetPeriod) throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let key = try bench.makeKey(tenant, budget: 10_000, period)
        let other = try bench.makeKey(tenant, budget: 10_000, period)
        func reserve(
            _ key: APIKeyID, _ amount: Int64, day: Int32, trace: TraceID = .fresh()
        ) throws -> Hold {
            try bench.engine.reserve(
                bench.order(
                    tenant, amount, trace: trace, key: key, period: Period(day: day), hasBudget: true,
                    limitsVersion: 3))
        }
        for _ in 0..<2 {
            let old = TraceID(
                unixMilliseconds: WallClock.unixMilliseconds - 7_200_000,
                random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
            try bench.settle(try reserve(key, 100, day: 20250613, trace: old), charge: 100)
        }
        #expect(try RollupJob(ledger: bench.ledger, behindSeconds: 3_600).run().rows == 2)
        let yesterday = try reserve(key, 300, day: 20250614)
        try bench.settle(try reserve(key, 500, day: 20250614), charge: 70)
        try bench.settle(try reserve(other, 500, day: 20250614), charge: 90)
        bench.void(try reserve(key, 500, day: 20250614))
        try bench.settle(try reserve(key, 400, day: 20250615), charge: 11)
        _ = try reserve(key, 200, day: 20250615)
        try bench.settle(yesterday, charge: 5)
        let late = try reserve(key, 100, day: 20250615)
        // In the ledger, and held in Redis still.
        #expect(bench.writer.write([.settlement(bench.committed(late, 40))]).count == 1)
        let seen = try both(bench, tenant)
        #expect(seen.isExact && seen.budgets.count == 2)
        let budget = try #require(seen.budgets.first { $0.key == key.description })
        #expect(budget.expected == Money(nanodollars: period == .day ? 311 : 586))

        _ = try bench.redis.command(["HINCRBY", QuotaKeys(tenant).budget(of: key), "budget_used", "1"])
        let wrong = try both(bench, tenant)
        #expect(!wrong.isExact && wrong.drift == .zero)
        #expect(wrong.budgets.map(\.drift.nanodollars).sorted() == [0, 1])
    }

    @Test(arguments: [-1, 1] as [Int64]) func `a nano-dollar too many or too few is seen`(change: Int64)
        throws
    {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let other = try bench.makeTenant("other", balance: 10_000)
        _ = try bench.reserve(tenant, 300)
        _ = try bench.redis.command(["HINCRBY", QuotaKeys(tenant).tenant, "balance", "\(change)"])
        let step = try bench.reconciler().compare([tenant, other])
        #expect(step.tenants.map(\.drift.nanodollars) == [change, 0])
        #expect(step.tenants.map(\.isExact) == [false, true])
    }

    @Test func `a hold that is lost is seen, before and after its charge`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let hold = try bench.reserve(tenant, 300)
        _ = try bench.redis.command(["HDEL", QuotaKeys(tenant).holds, hold.trace.description])
        let before = try both(bench, tenant)
        #expect(before.drift == Money(nanodollars: -300) && before.sums.unheld == 1)
        try bench.settle(hold, charge: 100)
        let after = try both(bench, tenant)
        #expect(after.drift == Money(nanodollars: -200) && after.sums.unheld == 0)
    }

    @Test func `money given back while its row is pending is seen although no money is missing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000)
        let hold = try bench.reserve(tenant, 300)
        _ = try bench.quota.settle(
            HoldSettlement(
                tenant: tenant, trace: hold.trace, epoch: hold.held.epoch, rseq: hold.held.rseq,
                charge: .zero, isVoided: true))
        let both = try both(bench, tenant)
        #expect(both.drift == .zero && both.sums.unheld == 1 && !both.isExact)
    }

    @Test func `requests counted too often are seen`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10_000, dailyQuota: 10)
        try bench.settle(try bench.reserve(tenant, 300), charge: 5)
        _ = try bench.redis.command(["HINCRBY", QuotaKeys(tenant).tenant, "daily_used", "2"])
        _ = try bench.redis.command(["HINCRBY", QuotaKeys(tenant).tenant, "monthly_used", "-1"])
        let both = try both(bench, tenant)
        #expect(both.drift == .zero && both.dailyDrift == 2 && both.monthlyDrift == -1 && !both.isExact)
    }

    @Test func `images of another life of Redis are none, and broken ones stop nobody`() throws {
        let bench = try SettlementBench()
        let names = try (1...3).map { try bench.makeTenant("t\($0)", balance: 1_000) }
        _ = try bench.redis.command(["HSET", QuotaKeys(names[0]).tenant, "inc", "999"])
        _ = try bench.redis.command(["HSET", QuotaKeys(names[1]).tenant, "balance", "much"])
        let step = try bench.reconciler().compare(names)
        #expect(step.notLoaded == 1 && step.compared == 1)
        #expect(step.failures.map(\.tenant) == [names[1]])
        #expect(step.tenants.map(\.tenant) == [names[2]] && step.tenants.allSatisfy(\.isExact))
    }

    @Test func `under load, with rebuilds and roll-ups, every sample is exact`() throws {
        let bench = try SettlementBench()
        let tenants = try (1...4).map { try bench.makeTenant("load-\($0)", balance: 1_000_000_000) }
        let ends = Deadline.after(seconds: 4)
        let samples = Atomic<Int>(0)
        try Concurrently.run(14) { worker in
            let tenant = tenants[worker % tenants.count]
            var generator = SystemRandomNumberGenerator()
            while !ends.isPast {
                switch worker {
                case 12:
                    let step = try bench.reconciler().compare(tenants)
                    #expect(step.failures.isEmpty)
                    for tenant in step.tenants where !tenant.isExact {
                        Issue.record("\(tenant)")
                    }
                    samples.add(step.tenants.count, ordering: .relaxed)
                case 13:
                    // Rows are rolled up soon, and images are lost.
                    _ = try bench.ledger.rollUp(below: try bench.ledger.raiseFence(behindSeconds: 1))
                    if Int.random(in: 0..<40, using: &generator) == 0, let lost = tenants.randomElement() {
                        let keys = QuotaKeys(lost)
                        _ = try bench.redis.command(["DEL", keys.tenant, keys.holds])
                    }
                    _ = Signal().wait(until: .after(milliseconds: 20))
                default:
                    // On a machine that stands still its time may be closed before it begins.
                    let order = bench.order(tenant, Int64.random(in: 10...999, using: &generator))
                    guard let hold = try? bench.engine.reserve(order) else { continue }
                    if Bool.random(using: &generator) {
                        try bench.settle(hold, charge: Int64.random(in: 0...10, using: &generator))
                    } else {
                        bench.void(hold)
                    }
                }
            }
        }
        #expect(samples.load(ordering: .relaxed) > 50)
        // What Redis did not answer in time is settled later.
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        for tenant in tenants where try bench.quota.image(of: tenant) != nil {
            try bench.expectExactBooks(tenant)
        }
    }
}
