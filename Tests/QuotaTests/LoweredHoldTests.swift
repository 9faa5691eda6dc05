import Core
import PrivateServers
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

/// Orders that can do with less where that is all there is.
@Suite struct LoweredHoldTests {
    private func held(_ reply: DeductReply) -> Int64? {
        guard case .held(let held) = reply else { return nil }
        return held.amount.nanodollars
    }

    private func limit(_ reply: DeductReply) -> QuotaLimit? {
        guard case .refused(let refusal) = reply else { return nil }
        return refusal.limit
    }

    private func bench(balance: Int64 = 1_000, creditLimit: Int64 = 0, budget: Int64) throws -> ImageBench {
        let bench = try ImageBench(isInstalled: false)
        let budgets = [try ImageBench.budget("key1", budget), try ImageBench.budget("key2", 1_000)]
        #expect(
            try bench.install(epoch: 1, balance: balance, creditLimit: creditLimit, budgets: budgets)
                == .installed)
        return bench
    }

    @Test func `who asks for more than there is gets all of it, down to the credit limit`() throws {
        let bench = try ImageBench(balance: 90, creditLimit: 10)
        #expect(held(try bench.deduct(101, least: 40)) == 100)
        let image = try bench.image()
        #expect(image.balance == .nano(-10) && image.held == .nano(100))
    }

    @Test func `who asks for what there is gets what was asked for`() throws {
        let bench = try ImageBench(balance: 100)
        #expect(held(try bench.deduct(99, least: 40)) == 99)
    }

    @Test func `nobody is given less than the order can do with`() throws {
        let bench = try ImageBench(balance: 39)
        let before = try bench.everything()
        #expect(limit(try bench.deduct(100, least: 40)) == .balance)
        #expect(try bench.everything() == before)
        #expect(held(try bench.deduct(100, least: 39)) == 39)
    }

    @Test func `while another hold is outstanding nobody is given less than was asked for`() throws {
        let bench = try ImageBench(balance: 100)
        let trace = TraceID.fresh()
        let other = try bench.hold(1, trace: trace)
        #expect(limit(try bench.deduct(100, least: 40)) == .balance)
        _ = try bench.settle(other, trace, charge: 1)
        #expect(held(try bench.deduct(100, least: 40)) == 99)
    }

    @Test func `of orders in one call only the first is given what is left`() throws {
        let bench = try ImageBench(balance: 100)
        let replies = try bench.store.deduct([bench.order(150, least: 40), bench.order(150, least: 1)])
            .map { try $0.get() }
        #expect(held(replies[0]) == 100 && limit(replies[1]) == .balance)
        let beside = try ImageBench(balance: 100)
        let others = try beside.store.deduct([beside.order(60), beside.order(60, least: 1)])
            .map { try $0.get() }
        #expect(held(others[0]) == 60 && limit(others[1]) == .balance)
    }

    @Test func `a key is given what its budget has left, whatever other keys hold`() throws {
        let bench = try bench(budget: 70)
        _ = try bench.hold(500, key: "key2", hasBudget: true)
        let trace = TraceID.fresh()
        guard case .held(let held) = try bench.deduct(100, least: 40, trace: trace, hasBudget: true) else {
            Issue.record("it was refused")
            return
        }
        #expect(held.amount == .nano(70) && held.budget?.used == .nano(70))
        #expect(try bench.budgetUsed() == 70 && bench.balance() == 430)
        _ = try bench.settle(held, trace, charge: 50)
        #expect(try bench.budgetUsed() == 50)
        #expect(limit(try bench.deduct(100, least: 40, hasBudget: true)) == .budget)
    }

    @Test func `a key with a hold is not given what its budget has left`() throws {
        let bench = try bench(budget: 70)
        _ = try bench.hold(20, hasBudget: true)
        #expect(limit(try bench.deduct(100, least: 40, hasBudget: true)) == .budget)
        #expect(held(try bench.deduct(50, least: 40, hasBudget: true)) == 50)
        let together = try self.bench(budget: 70)
        let replies = try together.store.deduct([
            together.order(100, least: 70, hasBudget: true), together.order(100, least: 0, hasBudget: true),
            together.order(100, least: 0, key: "key2", hasBudget: true),
        ]).map { try $0.get() }
        #expect(held(replies[0]) == 70 && limit(replies[1]) == .budget && held(replies[2]) == 100)
    }

    @Test func `the balance is named where it is what other keys' holds keep`() throws {
        let bench = try bench(balance: 100, budget: 70)
        _ = try bench.hold(60, key: "key2", hasBudget: true)
        #expect(limit(try bench.deduct(100, least: 30, hasBudget: true)) == .balance)
        #expect(limit(try bench.deduct(100, least: 60, hasBudget: true)) == .balance)
    }

    @Test func `a key beside thousands of holds is not given less than was asked for`() throws {
        let bench = try bench(balance: 1_000_000, budget: 70)
        let orders = (0..<2_001).map { _ in bench.order(1, key: "key2", hasBudget: true) }
        #expect(bench.store.deduct(Array(orders[..<900])).count == 900)
        #expect(held(try bench.deduct(100, least: 40, key: "key1", hasBudget: true)) == 70)
        let crowded = try self.bench(balance: 1_000_000, budget: 70)
        let more = (0..<2_001).map { _ in crowded.order(0, key: "key2", hasBudget: true) }
        #expect(crowded.store.deduct(more).count == 2_001)
        #expect(limit(try crowded.deduct(100, least: 40, hasBudget: true)) == .budget)
    }

    @Test func `an order that was given less is answered the same way again`() throws {
        let bench = try ImageBench(balance: 100)
        let trace = TraceID.fresh()
        let first = try bench.deduct(150, least: 40, trace: trace)
        let before = try bench.everything()
        #expect(try bench.deduct(150, least: 40, trace: trace) == first)
        #expect(held(first) == 100)
        guard case .conflict = try bench.deduct(150, least: 101, trace: trace) else {
            Issue.record("it can do with that amount only")
            return
        }
        #expect(try bench.everything() == before)
    }

    @Test func `a quota refuses whoever could do with less`() throws {
        let bench = try ImageBench(balance: 50, dailyQuota: 0)
        #expect(limit(try bench.deduct(100, least: 40)) == .dailyQuota)
    }
}
