import Core
import Ledger
import Quota
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct SettleWaitTests {
    private static func bench(waitMilliseconds: Int, waitersMax: Int = 1_000) throws -> SettlementBench {
        var options = SettlementBench.Options()
        options.settleWait = SettleWait(milliseconds: waitMilliseconds, waitersMax: waitersMax)
        return try SettlementBench(options)
    }

    @Test
    func `of 200 requests at once that hold four times what they cost, all that can be paid are served`()
        throws
    {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 20)
        let served = try Concurrently.run(200) { _ in
            do throws(SettlementError) {
                let hold = try bench.engine.reserve(bench.order(tenant, 4))
                let charge = bench.committed(hold, 1)
                _ = try bench.engine.settle(hold, charge, otherwise: charge)
                return 1
            } catch {
                guard case .refused(let refusal) = error, refusal.limit == .balance else { throw error }
                return 0
            }
        }
        // The eighteenth would need four with three left.
        #expect(served.reduce(0, +) == 17)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 3))
    }

    @Test func `of 200 requests at once, all that a key's budget can pay are served, and no other key waits`()
        throws
    {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 1_000)
        let key = try bench.makeKey(tenant, budget: 20)
        let order = { @Sendable in bench.order(tenant, 4, key: key, hasBudget: true, limitsVersion: 2) }
        let standing = try bench.engine.reserve(order())
        let waiting = try Concurrently.begin(200) { _ in
            do throws(SettlementError) {
                let hold = try bench.engine.reserve(order())
                let charge = bench.committed(hold, 1)
                _ = try bench.engine.settle(hold, charge, otherwise: charge)
                return 1
            } catch {
                guard case .refused(let refusal) = error, refusal.limit == .budget else { throw error }
                return 0
            }
        }
        // Sixteen of twenty can be had while four are held.
        #expect(Eventually.holds { bench.engine.waitingCount > 0 })
        try bench.settle(try bench.reserve(tenant, 100), charge: 100)
        bench.void(standing)
        #expect(try waiting.wait().reduce(0, +) == 17)
        #expect(try bench.quota.budget(of: key, tenant: tenant)?.used == Money(nanodollars: 17))
        try bench.expectExactBooks(tenant)
    }

    @Test func `who could not be paid for even without any holds is refused at once`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 10)
        let hold = try bench.reserve(tenant, 8)
        let began = Deadline.now
        #expect(bench.refusal(tenant, 11)?.limit == .balance)
        #expect(began.elapsedNanoseconds < 30_000_000_000)
        bench.void(hold)
        try bench.expectExactBooks(tenant)
    }

    @Test func `who waits in vain is refused when the wait is over`() throws {
        let bench = try Self.bench(waitMilliseconds: 200)
        let tenant = try bench.makeTenant(balance: 10)
        let hold = try bench.reserve(tenant, 8)
        let began = Deadline.now
        #expect(bench.refusal(tenant, 5)?.balance == Money(nanodollars: 2))
        #expect(began.elapsedNanoseconds >= 200_000_000)
        bench.void(hold)
        #expect(bench.refusal(tenant, 5) == nil)
    }

    @Test func `whoever comes later stands behind, even with a request that could be paid`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 10)
        let hold = try bench.reserve(tenant, 8)
        let order = Locked<[String]>([])
        let large = try Concurrently.begin(1) { _ in
            _ = try bench.reserve(tenant, 9)
            order.withLock { $0.append("large") }
        }
        #expect(Eventually.holds { bench.engine.waitingCount == 1 })
        let small = try Concurrently.begin(1) { _ in
            _ = try bench.reserve(tenant, 1)
            order.withLock { $0.append("small") }
        }
        #expect(Eventually.holds { bench.engine.waitingCount == 2 })
        #expect(order.withLock { $0 }.isEmpty)
        bench.void(hold)
        _ = try large.wait()
        _ = try small.wait()
        #expect(order.withLock { $0 }.count == 2)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == .zero)
    }

    @Test func `who can do with less is served with what is left, as soon as nothing else is held`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 20)
        let served = try Concurrently.run(200) { _ in
            do throws(SettlementError) {
                let hold = try bench.engine.reserve(bench.order(tenant, 8, least: 1))
                let charge = bench.committed(hold, 1)
                _ = try bench.engine.settle(hold, charge, otherwise: charge)
                return 1
            } catch {
                guard case .refused(let refusal) = error, refusal.limit == .balance else { throw error }
                return 0
            }
        }
        #expect(served.reduce(0, +) == 20)
        #expect(try bench.expectExactBooks(tenant).image?.balance == .zero)
    }

    @Test func `what is left is given to one at a time, and its row holds it`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 20)
        let hold = try bench.engine.reserve(bench.order(tenant, 100, least: 5))
        #expect(hold.amount == Money(nanodollars: 20))
        #expect(try bench.row(hold)?.hold == hold.amount)
        let waiting = try Concurrently.begin(1) { _ in
            try bench.engine.reserve(bench.order(tenant, 100, least: 5))
        }
        #expect(Eventually.holds { bench.engine.waitingCount == 1 })
        try bench.settle(hold, charge: 13)
        let next = try waiting.wait()[0]
        #expect(next.amount == Money(nanodollars: 7))
        try bench.expectExactBooks(tenant)
        bench.void(next)
    }

    @Test func `a credit ends the wait`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000)
        let tenant = try bench.makeTenant(balance: 10)
        _ = try bench.reserve(tenant, 8)
        let waiting = try Concurrently.begin(1) { _ in _ = try bench.reserve(tenant, 9) }
        #expect(Eventually.holds { bench.engine.waitingCount == 1 })
        try bench.addCredit(7, to: tenant, "more")
        _ = try waiting.wait()
        try bench.expectExactBooks(tenant)
    }

    @Test func `more than may wait are refused as the first of them would be`() throws {
        let bench = try Self.bench(waitMilliseconds: 60_000, waitersMax: 1)
        let tenant = try bench.makeTenant(balance: 10)
        let hold = try bench.reserve(tenant, 8)
        let waiting = try Concurrently.begin(1) { _ in _ = try bench.reserve(tenant, 9) }
        #expect(Eventually.holds { bench.engine.waitingCount == 1 })
        #expect(Eventually.holds { bench.refusal(tenant, 3)?.limit == .balance })
        bench.void(hold)
        _ = try waiting.wait()
        try bench.expectExactBooks(tenant)
    }
}
