import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct CreditTests {
    private func credit(_ bench: ImageBench, _ sequence: Int64, _ amount: Int64) throws -> CreditReply {
        try bench.store.credit(tenant: bench.tenant, sequence: sequence, amount: .nano(amount))
    }

    @Test func `credits are added in their order`() throws {
        let bench = try ImageBench(balance: 100)
        #expect(try credit(bench, 1, 10) == .applied(balance: .nano(110)))
        #expect(try credit(bench, 2, 20) == .applied(balance: .nano(130)))
        #expect(try bench.image().creditSequence == 2)
    }

    @Test func `a credit counts once, also when a later one came after it`() throws {
        let bench = try ImageBench(balance: 100)
        _ = try credit(bench, 1, 10)
        #expect(try credit(bench, 1, 10) == .done(balance: .nano(110)))
        _ = try credit(bench, 2, 20)
        #expect(try credit(bench, 1, 10) == .done(balance: .nano(130)))
        #expect(try bench.balance() == 130)
    }

    @Test func `a credit whose predecessor is missing waits and says what is known`() throws {
        let bench = try ImageBench(balance: 100)
        _ = try credit(bench, 1, 10)
        let before = try bench.everything()
        #expect(try credit(bench, 3, 30) == .gap(known: 1))
        #expect(try bench.everything() == before)
        #expect(try credit(bench, 2, 20) == .applied(balance: .nano(130)))
        #expect(try credit(bench, 3, 30) == .applied(balance: .nano(160)))
    }

    @Test func `a credit that finds no image makes none`() throws {
        let bench = try ImageBench(isInstalled: false)
        #expect(try credit(bench, 1, 10) == .missing)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant]).integer == 0)
    }

    @Test func `a credit in another life of Redis changes nothing`() throws {
        let bench = try ImageBench(balance: 100)
        let other = QuotaStore(redis: bench.redis) { _ in ImageBench.incarnation + 1 }
        #expect(try other.credit(tenant: bench.tenant, sequence: 1, amount: .nano(10)) == .missing)
        #expect(try bench.balance() == 100)
    }

    @Test func `a credit up to the largest balance is exact`() throws {
        let top = Money.limit.nanodollars
        let bench = try ImageBench(balance: 1)
        #expect(try credit(bench, 1, top - 1) == .applied(balance: .limit))
    }

    @Test func `of many that add the same credit one does`() throws {
        let bench = try ImageBench(balance: 0)
        let replies = try Concurrently.run(20) { _ in
            try bench.store.credit(tenant: bench.tenant, sequence: 1, amount: .nano(10))
        }
        #expect(replies.count { $0 == .applied(balance: .nano(10)) } == 1)
        #expect(try bench.balance() == 10)
    }
}
