import Core
import Glibc
import Redis
import Synchronization
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct RateLimitTests {
    // MARK: - Requests a minute

    @Test func `so many requests a minute are admitted and then none takes money`() throws {
        let bench = try ImageBench(rates: .init(requests: 3))
        try bench.awaitEarlyMinute()
        for used in 1...3 {
            let minute = try #require(try bench.hold(10).minute)
            #expect(minute.requestsLimit == 3 && minute.requests == Int64(used) && minute.tokensLimit == nil)
            #expect((1...60).contains(minute.secondsLeft))
        }
        let before = try bench.everything()
        let refusal = try bench.refusal(10)
        #expect(refusal.limit == .requestsPerMinute && refusal.limitValue == 3 && refusal.used == 3)
        guard case .seconds(let seconds) = refusal.reset else {
            Issue.record("\(refusal.reset)")
            return
        }
        #expect((1...60).contains(seconds))
        #expect(try bench.everything() == before)
    }

    @Test func `the next minute begins at one`() throws {
        let bench = try ImageBench(rates: .init(requests: 1))
        try bench.awaitEarlyMinute()
        _ = try bench.hold(1)
        #expect(try bench.refusal(1).limit == .requestsPerMinute)
        try bench.endMinute()
        #expect(try bench.hold(1).minute?.requests == 1)
        #expect(try bench.refusal(1).limit == .requestsPerMinute)
    }

    @Test func `a minute of a clock that was ahead locks nobody out`() throws {
        let bench = try ImageBench(rates: .init(requests: 1))
        try bench.awaitEarlyMinute()
        _ = try bench.hold(1)
        _ = try bench.redis.command(["HINCRBY", bench.keys.tenant, "minute", "600"])
        #expect(try bench.hold(1).minute?.requests == 1)
    }

    @Test func `a host's clock has no say in the minute`() throws {
        let bench = try ImageBench(rates: .init(requests: 2))
        try bench.awaitEarlyMinute()
        _ = try bench.hold(1, day: 20_250_614)
        _ = try bench.hold(1, day: 20_250_615)
        #expect(try bench.refusal(1, day: 20_250_616).limit == .requestsPerMinute)
    }

    @Test func `a request that was voided has been one of the minute`() throws {
        let bench = try ImageBench(rates: .init(requests: 1))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        _ = try bench.settle(try bench.hold(1, trace: trace), trace, charge: 0, isVoided: true)
        #expect(try bench.refusal(1).limit == .requestsPerMinute)
    }

    @Test func `an order that is repeated counts once`() throws {
        let bench = try ImageBench(rates: .init(requests: 5, tokens: 100, concurrency: 1))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        let first = try bench.hold(1, trace: trace, tokens: 60)
        let again = try bench.hold(1, trace: trace, tokens: 60)
        #expect(again.rseq == first.rseq)
        #expect(again.minute?.requests == 1 && again.minute?.tokens == 60)
    }

    // MARK: - Tokens a minute

    @Test func `tokens are counted as estimated and then as they were`() throws {
        let bench = try ImageBench(rates: .init(tokens: 100))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        let held = try bench.hold(1, trace: trace, tokens: 80)
        #expect(held.minute?.tokensLimit == 100 && held.minute?.tokens == 80)
        let refusal = try bench.refusal(1, tokens: 21)
        #expect(refusal.limit == .tokensPerMinute && refusal.limitValue == 100 && refusal.used == 80)
        _ = try bench.settle(held, trace, charge: 1, tokens: 30)
        #expect(try bench.hold(1, tokens: 70).minute?.tokens == 100)
        #expect(try bench.refusal(1, tokens: 1).limit == .tokensPerMinute)
        #expect(try bench.hold(1, tokens: 0).minute?.tokens == 100)
    }

    @Test func `an answer longer than estimated counts whole`() throws {
        let bench = try ImageBench(rates: .init(tokens: 100))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        _ = try bench.settle(try bench.hold(1, trace: trace, tokens: 10), trace, charge: 1, tokens: 150)
        #expect(try bench.refusal(1, tokens: 0).used == 150)
    }

    @Test func `a voided request has taken no tokens`() throws {
        let bench = try ImageBench(rates: .init(tokens: 100))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        let held = try bench.hold(1, trace: trace, tokens: 100)
        _ = try bench.settle(held, trace, charge: 0, isVoided: true, tokens: 55)
        #expect(try bench.hold(1, tokens: 100).minute?.tokens == 100)
    }

    @Test func `the tokens of a minute that is over are not given back to this one`() throws {
        let bench = try ImageBench(rates: .init(tokens: 100))
        try bench.awaitEarlyMinute()
        let trace = TraceID.fresh()
        // Held in the minute before the present one.
        let hold = (trace.description, "10|1|1|key1|20250614|202506|29000000|90")
        try #require(
            try bench.install(epoch: 2, rates: .init(tokens: 100), holds: [hold]) == .installed)
        _ = try bench.hold(1, tokens: 100)
        let settlement = HoldSettlement(
            tenant: bench.tenant, trace: trace, epoch: 1, rseq: 1, charge: .nano(1), isVoided: false,
            tokens: 5)
        guard case .settled = try bench.store.settle(settlement) else { throw BenchError() }
        #expect(try bench.refusal(1, tokens: 1).used == 100)
    }

    @Test func `a request that can never fit is refused and the others are not`() throws {
        let bench = try ImageBench(rates: .init(tokens: 100))
        #expect(try bench.refusal(1, tokens: 101).limit == .tokensPerMinute)
        #expect(try bench.refusal(1, tokens: .max).limit == .tokensPerMinute)
        _ = try bench.hold(1, tokens: 100)
    }

    // MARK: - At the same time

    @Test func `so many holds stand at once, also within a batch, and the next when one has ended`() throws {
        let bench = try ImageBench(rates: .init(concurrency: 3))
        let traces = (0..<5).map { _ in TraceID.fresh() }
        let replies = try bench.store.deduct(traces.map { bench.order(1, trace: $0) }).map { try $0.get() }
        let names = replies.map { reply in
            switch reply {
            case .held: "held"
            case .refused(let refusal): "\(refusal.limit) \(refusal.used) of \(refusal.limitValue)"
            default: "\(reply)"
            }
        }
        #expect(names == ["held", "held", "held", "concurrency 3 of 3", "concurrency 3 of 3"])
        guard case .held(let first) = replies[0] else { throw BenchError() }
        _ = try bench.settle(first, traces[0], charge: 1)
        _ = try bench.hold(1)
        #expect(try bench.refusal(1).limit == .concurrency)
    }

    @Test func `concurrency is never above its limit, from two processes with many threads`() throws {
        let bench = try ImageBench(balance: 1_000_000, rates: .init(concurrency: 7))
        let other = QuotaStore(redis: bench.redis) { _ in ImageBench.incarnation }
        let running = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let admitted = Atomic<Int>(0)
        try Concurrently.run(24) { thread in
            let store = thread % 2 == 0 ? bench.store : other
            for _ in 0..<60 {
                let trace = TraceID.fresh()
                guard case .held(let held) = try store.deduct(bench.order(1, trace: trace)) else { continue }
                admitted.add(1, ordering: .relaxed)
                most.max(running.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
                usleep(1_000)
                // Before it ends: so there are never more of them than holds.
                running.subtract(1, ordering: .relaxed)
                _ = try store.settle(bench.settlement(held, trace, charge: 1))
            }
        }
        #expect(most.load(ordering: .relaxed) <= 7)
        #expect(admitted.load(ordering: .relaxed) > 100)
        #expect(try bench.image().holds.isEmpty)
    }

    // MARK: - Together

    @Test func `what a limit refuses costs nothing of the others`() throws {
        let bench = try ImageBench(
            balance: 100, rates: .init(requests: 2, tokens: 50, concurrency: 2),
            budgets: [try ImageBench.budget("key1", 60)])
        try bench.awaitEarlyMinute()
        let before = try bench.everything()
        #expect(try bench.refusal(1, tokens: 51).limit == .tokensPerMinute)
        #expect(try bench.refusal(61, tokens: 50).limit == .budget)
        #expect(try bench.refusal(101, key: "key2", tokens: 50).limit == .balance)
        #expect(try bench.everything() == before)
    }

    @Test func `an image without limits of a minute counts none`() throws {
        let bench = try ImageBench()
        #expect(try bench.hold(1, tokens: 1_000).minute == nil)
        #expect(try bench.hold(1, tokens: 1_000).budget == nil)
        #expect(try bench.redis.command(["HGET", bench.keys.tenant, "minute_requests"]).text == "0")
    }

    @Test func `an image with older limits than the caller knows takes nothing`() throws {
        let bench = try ImageBench()
        let before = try bench.everything()
        #expect(try bench.deduct(1, limitsVersion: 2) == .stale)
        #expect(try bench.everything() == before)
        #expect(
            try bench.store.deduct([bench.order(1), bench.order(1, limitsVersion: 2)]).map { try $0.get() }
                == [.stale, .stale])
        // One with newer limits is what counts.
        guard case .held = try bench.deduct(1, limitsVersion: 0) else { throw BenchError() }
    }

    @Test func `an image that an earlier build made works until its limits change`() throws {
        let bench = try ImageBench()
        _ = try bench.redis.command([
            "HDEL", bench.keys.tenant, "checks", "rpm_limit", "tpm_limit", "concurrency_limit", "minute",
            "minute_requests", "minute_tokens",
        ])
        let trace = TraceID.fresh()
        let held = try bench.hold(10, trace: trace)
        #expect(try bench.settle(held, trace, charge: 4) == .settled(balance: .nano(996)))
    }
}
