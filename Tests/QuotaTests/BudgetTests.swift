import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct BudgetTests {
    @Test func `a budget admits what it covers, to the nano-dollar, and then takes no money`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100, used: 30)])
        #expect(
            try bench.hold(69, hasBudget: true).budget == BudgetUse(limit: .nano(100), used: .nano(99)))
        let before = try bench.everything()
        let refusal = try bench.refusal(2, hasBudget: true)
        #expect(refusal.limit == .budget && refusal.limitValue == 100 && refusal.used == 99)
        #expect(refusal.reset == .never)
        #expect(try bench.everything() == before)
        #expect(try bench.hold(1, hasBudget: true).budget?.used == .nano(100))
        #expect(try bench.refusal(1, hasBudget: true).limit == .budget)
    }

    @Test func `a key's budget is nobody else's`() throws {
        let bench = try ImageBench(budgets: [
            try ImageBench.budget("key1", 10), try ImageBench.budget("key2", 20),
        ])
        #expect(try bench.refusal(11, key: "key1", hasBudget: true).limit == .budget)
        #expect(try bench.hold(11, key: "key2", hasBudget: true).budget?.used == .nano(11))
        #expect(try bench.hold(500, key: "key3").budget == nil)
        #expect(try bench.budgetUsed("key1") == 0)
    }

    @Test func `settling gives a budget back what was not charged`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100)])
        let traces = (0..<2).map { _ in TraceID.fresh() }
        let held = try traces.map { try bench.hold(50, trace: $0, hasBudget: true) }
        #expect(try bench.refusal(1, hasBudget: true).limit == .budget)
        _ = try bench.settle(held[0], traces[0], charge: 20)
        #expect(try bench.budgetUsed() == 70)
        _ = try bench.settle(held[1], traces[1], charge: 0, isVoided: true)
        #expect(try bench.budgetUsed() == 20)
        _ = try bench.settle(held[1], traces[1], charge: 0, isVoided: true)
        #expect(try bench.budgetUsed() == 20)
    }

    @Test func `a charge of the whole hold changes nothing of a budget`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100)])
        let trace = TraceID.fresh()
        _ = try bench.settle(try bench.hold(50, trace: trace, hasBudget: true), trace, charge: 50)
        #expect(try bench.budgetUsed() == 50)
    }

    @Test(arguments: [
        (BudgetPeriod.day, Int32(20_250_615), QuotaReset.day), (.month, 20_250_701, .month),
    ])
    func `a budget begins anew with its period, and takes nothing back from the one before`(
        period: BudgetPeriod, next: Int32, reset: QuotaReset
    ) throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100, period)])
        let trace = TraceID.fresh()
        let held = try bench.hold(100, trace: trace, hasBudget: true)
        #expect(try bench.refusal(1, hasBudget: true).reset == reset)
        #expect(try bench.hold(60, day: next, hasBudget: true).budget?.used == .nano(60))
        _ = try bench.settle(held, trace, charge: 1)
        #expect(try bench.budgetUsed() == 60)
        #expect(try bench.refusal(41, day: next, hasBudget: true).limit == .budget)
    }

    @Test func `a month's budget goes on with the next day, and one for ever with the next month`() throws {
        let bench = try ImageBench(budgets: [
            try ImageBench.budget("key1", 100, .month), try ImageBench.budget("key2", 100),
        ])
        let traces = (0..<2).map { _ in TraceID.fresh() }
        let ofMonth = try bench.hold(80, trace: traces[0], day: 20_250_629, hasBudget: true)
        let forEver = try bench.hold(80, trace: traces[1], day: 20_250_629, key: "key2", hasBudget: true)
        #expect(try bench.refusal(21, day: 20_250_630, hasBudget: true).limit == .budget)
        #expect(try bench.refusal(21, day: 20_250_701, key: "key2", hasBudget: true).limit == .budget)
        _ = try bench.settle(ofMonth, traces[0], charge: 10)
        #expect(try bench.budgetUsed("key1") == 10)
        _ = try bench.hold(1, day: 20_250_701, hasBudget: true)
        _ = try bench.settle(forEver, traces[1], charge: 10)
        #expect(try bench.budgetUsed("key2") == 10)
    }

    @Test func `a refusal on a new day does not begin a budget's day`() throws {
        let bench = try ImageBench(balance: 50, budgets: [try ImageBench.budget("key1", 100, .day)])
        _ = try bench.hold(40, hasBudget: true)
        #expect(try bench.refusal(60, day: 20_250_615, hasBudget: true).limit == .balance)
        #expect(try bench.refusal(61, day: 20_250_614, hasBudget: true).used == 40)
    }

    @Test func `a host whose clock is behind cannot reopen a budget's day`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100, .day)])
        _ = try bench.hold(100, day: 20_250_615, hasBudget: true)
        #expect(try bench.refusal(1, day: 20_250_614, hasBudget: true).limit == .budget)
        #expect(try bench.budgetUsed() == 100)
    }

    @Test func `a caller that does not know of a budget yet is held to it`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 10)])
        #expect(try bench.refusal(11, hasBudget: false).limit == .budget)
    }

    @Test func `a key whose budget was taken away has none`() throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", nil, used: 7)])
        let trace = TraceID.fresh()
        let held = try bench.hold(900, trace: trace, hasBudget: true)
        #expect(held.budget == nil)
        #expect(try bench.settle(held, trace, charge: 1) == .settled(balance: .nano(999)))
    }

    @Test func `the largest budgets are exact to the nano-dollar`() throws {
        let (top, most) = (Money.limit.nanodollars, Money.holdLimit.nanodollars)
        let bench = try ImageBench(
            balance: top,
            budgets: [
                try ImageBench.budget("key1", top, used: top - most + 1),
                try ImageBench.budget("key2", top, used: 900_000_000_000_000_000),
            ])
        #expect(try bench.refusal(most, hasBudget: true).used == top - most + 1)
        let trace = TraceID.fresh()
        let held = try bench.hold(most - 1, trace: trace, hasBudget: true)
        #expect(held.budget?.used == .nano(top))
        _ = try bench.settle(held, trace, charge: 1)
        #expect(try bench.budgetUsed() == top - most + 2)
        // Spent before it had a budget, more than any budget.
        #expect(try bench.refusal(0, key: "key2", hasBudget: true).used == 900_000_000_000_000_000)
    }

    // MARK: - Lost parts

    @Test(arguments: [["DEL"], ["HSET", "epoch", "9"]])
    func `without the hash of a key that has a budget there is no image`(command: [String]) throws {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100)])
        let trace = TraceID.fresh()
        _ = try bench.hold(10, trace: trace, hasBudget: true)
        let hash = "gw:quota:apikey:{\(bench.tenant)}:key1"
        _ = try bench.redis.command([command[0], hash] + command.dropFirst())
        let replies = bench.store.deduct([
            bench.order(1, key: "key2"), bench.order(1, key: "key1", hasBudget: true),
        ])
        #expect(try replies.map { try $0.get() } == [.missing, .missing])
        // It is one for nobody, and what is rebuilt comes after it.
        #expect(try bench.deduct(1, key: "key2") == .missing)
        let lease = try bench.store.takeLease(
            tenant: bench.tenant, token: "token", milliseconds: 60_000, incarnation: ImageBench.incarnation)
        #expect(lease == .taken(epochSeen: 1))
        let budgets = [try ImageBench.budget("key1", 100, used: 10)]
        let hold = (trace.description, "10|1|1|key1|20250614|202506|0|0")
        #expect(try bench.install(epoch: 2, balance: 990, budgets: budgets, holds: [hold]) == .installed)
        #expect(try bench.hold(90, hasBudget: true).budget?.used == .nano(100))
    }

    @Test func `an image is replaced with its budgets, and what is settled late counts in the new one`()
        throws
    {
        let bench = try ImageBench(budgets: [try ImageBench.budget("key1", 100)])
        let trace = TraceID.fresh()
        let held = try bench.hold(60, trace: trace, hasBudget: true)
        let hold = (trace.description, "60|1|\(held.rseq)|key1|20250614|202506|0|0")
        let budgets = [try ImageBench.budget("key1", 200, .day, used: 60)]
        #expect(try bench.install(epoch: 2, balance: 940, budgets: budgets, holds: [hold]) == .installed)
        _ = try bench.settle(held, trace, charge: 10)
        #expect(try bench.budgetUsed() == 10)
        #expect(try bench.balance() == 990)
    }

    @Test func `a budget counts from many threads at once as one after another`() throws {
        let bench = try ImageBench(
            balance: 1_000_000, budgets: [try ImageBench.budget("key1", 1_000, used: 1)])
        let admitted = try Concurrently.run(16) { _ in
            try (0..<20).filter { _ in
                if case .held = try bench.deduct(10, hasBudget: true) { true } else { false }
            }.count
        }
        #expect(admitted.reduce(0, +) == 99)
        #expect(try bench.budgetUsed() == 991)
    }
}
