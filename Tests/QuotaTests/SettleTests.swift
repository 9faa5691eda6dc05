import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct SettleTests {
    @Test func `settling for less than was held returns the rest`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        #expect(try bench.settle(held, trace, charge: 150) == .settled(balance: .nano(850)))
        let image = try bench.image()
        #expect(image.balance == .nano(850) && image.holds.isEmpty)
    }

    @Test func `settling for all that was held returns nothing`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        #expect(try bench.settle(held, trace, charge: 400) == .settled(balance: .nano(600)))
    }

    @Test func `a request that was answered for nothing still counts`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        #expect(try bench.settle(held, trace, charge: 0) == .settled(balance: .nano(1_000)))
        let image = try bench.image()
        #expect(image.dailyUsed == 1 && image.monthlyUsed == 1)
    }

    @Test func `voiding returns everything, the counts of the day and the month too`() throws {
        let bench = try ImageBench(balance: 1_000)
        _ = try bench.hold(1)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        #expect(try bench.settle(held, trace, charge: 0, isVoided: true) == .settled(balance: .nano(999)))
        let image = try bench.image()
        #expect(image.dailyUsed == 1 && image.monthlyUsed == 1)
    }

    @Test func `voiding yesterday's request leaves today's count alone`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace, day: 20_250_614)
        _ = try bench.hold(1, day: 20_250_615)
        _ = try bench.settle(held, trace, charge: 0, isVoided: true)
        let image = try bench.image()
        #expect(image.dailyUsed == 1)
        #expect(image.monthlyUsed == 1)
    }

    @Test func `voiding last month's request leaves this month's count alone`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace, day: 20_250_630)
        _ = try bench.hold(1, day: 20_250_701)
        _ = try bench.settle(held, trace, charge: 0, isVoided: true)
        let image = try bench.image()
        #expect(image.dailyUsed == 1 && image.monthlyUsed == 1)
    }

    @Test(arguments: [(0, true), (150, false)])
    func `repeating a settlement changes nothing`(charge: Int64, isVoided: Bool) throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        _ = try bench.settle(held, trace, charge: charge, isVoided: isVoided)
        let before = try bench.everything()
        #expect(
            try bench.settle(held, trace, charge: charge, isVoided: isVoided)
                == .gone(balance: .nano(1_000 - charge)))
        #expect(try bench.everything() == before)
    }

    @Test(arguments: [(2, 1), (1, 2)])
    func `a settlement of another hold under the same trace changes nothing`(epoch: Int64, rseq: Int64)
        throws
    {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        _ = try bench.hold(400, trace: trace)
        let before = try bench.everything()
        let reply = try bench.store.settle(
            HoldSettlement(
                tenant: bench.tenant, trace: trace, epoch: epoch, rseq: rseq, charge: .nano(1),
                isVoided: false))
        #expect(reply == .gone(balance: .nano(600)))
        #expect(try bench.everything() == before)
    }

    @Test func `a settlement that finds no image makes none`() throws {
        let bench = try ImageBench(isInstalled: false)
        let reply = try bench.store.settle(
            HoldSettlement(
                tenant: bench.tenant, trace: .fresh(), epoch: 1, rseq: 1, charge: .nano(1), isVoided: false))
        #expect(reply == .missing)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant, bench.keys.holds]).integer == 0)
    }

    @Test func `a settlement finds the tenant's hash gone and leaves the holds to the rebuild`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        _ = try bench.redis.command(["DEL", bench.keys.tenant])
        #expect(try bench.settle(held, trace, charge: 150) == .missing)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant]).integer == 0)
    }

    @Test func `a settlement in another life of Redis changes nothing`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        let before = try bench.everything()
        let other = QuotaStore(redis: bench.redis) { _ in ImageBench.incarnation + 1 }
        let reply = try other.settle(
            HoldSettlement(
                tenant: bench.tenant, trace: trace, epoch: held.epoch, rseq: held.rseq, charge: .nano(1),
                isVoided: false))
        #expect(reply == .missing)
        #expect(try bench.everything() == before)
    }

    @Test func `of many that settle the same hold one does`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(400, trace: trace)
        let replies = try Concurrently.run(20) { _ in try bench.settle(held, trace, charge: 100) }
        #expect(replies.count { $0 == .settled(balance: .nano(900)) } == 1)
        #expect(replies.count { $0 == .gone(balance: .nano(900)) } == 19)
        #expect(try bench.balance() == 900)
    }
}
