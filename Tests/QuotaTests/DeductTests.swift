import Core
import Glibc
import PrivateServers
import Redis
import TestSupport
import TestTools
import Testing
import Threads

@testable import Quota

@Suite struct DeductTests {
    @Test func `a hold takes its amount and counts one request of the day and of the month`() throws {
        let bench = try ImageBench(balance: 1_000, dailyQuota: 10, monthlyQuota: 100)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        #expect(held.epoch == 1 && held.rseq == 1)
        #expect(held.balanceBefore == .nano(1_000))
        #expect(held.balanceAfter == .nano(700))
        #expect(held.dailyUsed == 1 && held.monthlyUsed == 1)
        #expect(held.dailyQuota == 10 && held.monthlyQuota == 100)
        #expect(held.limitsVersion == 1)
        #expect(held.period == Period(day: ImageBench.today))
        let image = try bench.image()
        #expect(image.balance == .nano(700))
        #expect(image.dailyUsed == 1 && image.monthlyUsed == 1 && image.version == 1)
        let stored = try #require(image.holds.first)
        #expect(image.holds.count == 1)
        #expect(stored.trace == trace && stored.amount == .nano(300) && stored.key == "key1")
        #expect(stored.epoch == 1 && stored.rseq == 1 && stored.period == Period(day: ImageBench.today))
    }

    @Test func `a hold may take the last nano-dollar and the next one is refused`() throws {
        let bench = try ImageBench(balance: 1_000)
        #expect(try bench.hold(1_000).balanceAfter == .zero)
        #expect(try bench.refusal(1).limit == .balance)
        #expect(try bench.balance() == 0)
    }

    @Test func `a request that costs nothing is held, repeated and settled like any other`() throws {
        let bench = try ImageBench(balance: 5)
        let trace = TraceID.fresh()
        let held = try bench.hold(0, trace: trace)
        #expect(held.balanceBefore == .nano(5) && held.balanceAfter == .nano(5))
        #expect(try bench.hold(0, trace: trace).rseq == held.rseq)
        #expect(try bench.settle(held, trace, charge: 0) == .settled(balance: .nano(5)))
        #expect(try bench.image().holds.isEmpty)
    }

    @Test func `a tenant that owes money is refused even what costs nothing`() throws {
        let bench = try ImageBench(balance: -1)
        #expect(try bench.refusal(0).limit == .balance)
        #expect(try bench.balance() == -1)
    }

    @Test func `a refusal for lack of money leaves the image as it was and says what it saw`() throws {
        let bench = try ImageBench(balance: 1_000, dailyQuota: 10, monthlyQuota: 10)
        _ = try bench.hold(100)
        let before = try bench.everything()
        let refusal = try bench.refusal(901)
        #expect(refusal.limit == .balance)
        #expect(refusal.balance == .nano(900))
        #expect(refusal.used == 901 && refusal.limitValue == 0)
        #expect(refusal.epoch == 1 && refusal.creditSequence == 0 && refusal.limitsVersion == 1)
        #expect(try bench.everything() == before)
    }

    @Test func `the number of holds rises with a hold and with nothing else`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let first = try bench.hold(10, trace: trace)
        #expect(first.rseq == 1)
        _ = try bench.hold(10, trace: trace)
        _ = try bench.refusal(5_000)
        _ = try bench.deduct(11, trace: trace)
        _ = try bench.settle(first, trace, charge: 3)
        _ = try bench.store.credit(tenant: bench.tenant, sequence: 1, amount: .nano(50))
        #expect(try bench.image().version == 1)
        #expect(try bench.hold(10).rseq == 2)
        #expect(try bench.image().version == 2)
    }

    // MARK: - Missing images

    @Test func `without an image everything is a miss and nothing comes to be`() throws {
        let bench = try ImageBench(isInstalled: false)
        guard case .missing = try bench.deduct(1) else {
            Issue.record("a hold was taken from nothing")
            return
        }
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant, bench.keys.holds]).integer == 0)
    }

    @Test func `an image of another life of Redis is a miss and is not touched`() throws {
        let bench = try ImageBench(balance: 1_000)
        let before = try bench.everything()
        let other = QuotaStore(redis: bench.redis) { _ in ImageBench.incarnation + 1 }
        let order = HoldOrder(
            tenant: bench.tenant, trace: .fresh(), key: nil, amount: .nano(1),
            period: Period(day: ImageBench.today))
        guard case .missing = try other.deduct(order) else {
            Issue.record("a hold was taken from an image that may lack acknowledged writes")
            return
        }
        #expect(try bench.everything() == before)
    }

    @Test func `a life of Redis that is not known yet has no images`() throws {
        let bench = try ImageBench(balance: 1_000)
        let unknown = QuotaStore(redis: bench.redis) { _ in 0 }
        let order = HoldOrder(
            tenant: bench.tenant, trace: .fresh(), key: nil, amount: .nano(1),
            period: Period(day: ImageBench.today))
        guard case .missing = try unknown.deduct(order) else {
            Issue.record("a hold was taken without knowing where")
            return
        }
    }

    // MARK: - Repetition

    @Test func `the same order again is answered the same way and takes nothing`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let first = try bench.hold(300, trace: trace)
        let before = try bench.everything()
        let again = try bench.hold(300, trace: trace)
        #expect(again == first)
        #expect(try bench.everything() == before)
    }

    @Test func `the same order again is granted although the money is gone by now`() throws {
        let bench = try ImageBench(balance: 300, dailyQuota: 1)
        let trace = TraceID.fresh()
        let first = try bench.hold(300, trace: trace)
        #expect(try bench.hold(300, trace: trace).rseq == first.rseq)
        #expect(try bench.balance() == 0)
    }

    @Test func `an order repeated on the next day still counts in the day of its hold`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        _ = try bench.hold(300, trace: trace, day: 20_250_614)
        #expect(try bench.hold(300, trace: trace, day: 20_250_615).period == Period(day: 20_250_614))
    }

    @Test(arguments: [(301, "key1"), (300, "key2")])
    func `the trace of a hold with another amount or key is a conflict`(amount: Int64, key: String) throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        _ = try bench.hold(300, trace: trace)
        let before = try bench.everything()
        guard case .conflict = try bench.deduct(amount, trace: trace, key: key) else {
            Issue.record("two orders share a trace")
            return
        }
        #expect(try bench.everything() == before)
    }

    // MARK: - Time

    @Test func `past its time a command does nothing and tells the time`() throws {
        let bench = try ImageBench(balance: 1_000)
        let before = try bench.everything()
        let reply = try bench.evaluate(
            QuotaScripts.deduct, [bench.keys.tenant, bench.keys.holds],
            [
                String(ImageBench.incarnation), "1750000000000000", "1", "0", TraceID.fresh().description,
                "1",
                "", "20250614", "0", "1",
            ])
        #expect(reply.first == "LATE")
        let told = try #require(Int64(reply.last ?? ""))
        #expect(abs(told / 1_000 - WallClock.unixMilliseconds) < 60_000)
        #expect(try bench.everything() == before)
    }

    @Test func `a hold that Redis comes to after its caller gave up is not taken`() throws {
        let server = try SharedServers.Redis()
        let patient = try ImageBench(server: server)
        try #require(try patient.install(epoch: 1) == .installed)
        let hasty = try ImageBench(server: server, commandTimeoutMilliseconds: 200)
        let order = HoldOrder(
            tenant: patient.tenant, trace: .fresh(), key: nil, amount: .nano(100),
            period: Period(day: ImageBench.today))
        // Connected, and the script known, before the server stops: so the order is sent, and can be carried out.
        try #require(try hasty.redis.command(["PING"]).text == "PONG")
        #expect(try patient.hold(1_000).balanceAfter == .zero)
        try #require(try patient.install(epoch: 2) == .installed)
        _ = try patient.redis.command(["CONFIG", "RESETSTAT"])
        server.server.process?.send(SIGSTOP)
        defer { server.server.process?.send(SIGCONT) }
        #expect(throws: QuotaError.self) { try hasty.store.deduct(order) }
        server.server.process?.send(SIGCONT)
        let wasRun = try Eventually.holds {
            try patient.redis.command(["INFO", "commandstats"]).text?.contains("cmdstat_eval") == true
        }
        #expect(wasRun, "the order never reached Redis, so this test proves nothing")
        #expect(try patient.balance() == 1_000)
        #expect(try patient.image().holds.isEmpty)
    }

    // MARK: - Many at once

    @Test func `of many orders at once exactly as many are granted as the balance covers`() throws {
        let bench = try ImageBench(balance: 7 * 130 + 129)
        let granted = try Concurrently.run(100) { _ in
            guard case .held(let held) = try bench.deduct(130) else { return Int64(0) }
            return held.rseq
        }.filter { $0 > 0 }
        #expect(granted.sorted() == Array(1...7))
        #expect(try bench.balance() == 129)
        #expect(try bench.image().held == .nano(7 * 130))
    }
}
