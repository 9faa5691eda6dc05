import Core
import PrivateServers
import Redis
import TestSupport
import Testing
import Threads

@testable import Quota

@Suite struct BatchTests {
    // MARK: - Batches of one tenant

    @Test func `a batch does and answers what its orders do one after another, as in the model`() throws {
        let settings = [
            BatchTrial.Setting(balance: 1_000, creditLimit: 500, credit: 200, amountMax: 150),
            BatchTrial.Setting(balance: 1_000_000, dailyQuota: 40, credit: 1, amountMax: 150),
            BatchTrial.Setting(balance: 1_000_000, monthlyQuota: 60, credit: 1, amountMax: 150),
            BatchTrial.Setting(
                balance: 1_000, creditLimit: 500, dailyQuota: 60, monthlyQuota: 140, credit: 220,
                amountMax: 150),
            BatchTrial.Setting(
                balance: 1_000_000, rates: .init(requests: 20, tokens: 500), credit: 1, amountMax: 150),
            BatchTrial.Setting(
                balance: 1_000_000, rates: .init(concurrency: 25),
                budgets: [try ImageBench.budget("key2", 900, .day)], credit: 1, amountMax: 150),
            BatchTrial.Setting(
                balance: 1_000_000, rates: .init(tokens: 400),
                budgets: [
                    try ImageBench.budget("key0", 600), try ImageBench.budget("key1", 160, .day),
                    try ImageBench.budget("key2", 400, .month, used: 11),
                ], credit: 1, amountMax: 150),
            BatchTrial.Setting(
                balance: 5_000_000_000_000_000, rates: .init(concurrency: 90),
                budgets: [
                    try ImageBench.budget(
                        "key0", 9_000_000_000_000_000, .month, used: 4_000_000_000_000_001),
                    try ImageBench.budget("key2", nil),
                ], credit: 3_333_333_333_333, amountMax: Money.holdLimit.nanodollars / 8),
            BatchTrial.Setting(
                balance: 5_000_000_000_000_000, creditLimit: 1_000_000_000_000_000,
                credit: 66_666_666_666_667, amountMax: Money.holdLimit.nanodollars / 8),
        ]
        var seen: Set<String> = []
        for setting in settings {
            var trial = try BatchTrial(setting)
            for round in 0..<50 {
                try trial.takeHolds()
                try trial.settleHolds()
                try trial.addCredit()
                if round % 7 == 6 { try trial.passMinute() }
            }
            seen.formUnion(trial.seen)
        }
        #expect(seen.count == 12, "only \(seen)")
    }

    @Test func `orders of several tenants are answered in their order, and a tenant's go in few calls`()
        throws
    {
        let benches = try [
            ImageBench(balance: 1_000), ImageBench(balance: 10), ImageBench(isInstalled: false),
        ]
        let first = benches[0]
        let orders = (0..<300).map { benches[$0 % 3].order(Int64($0 / 3 % 2)) }
        _ = try first.redis.command(["PING"])
        let before = first.redis.batches
        let replies = try first.store.deduct(orders).map { try $0.get() }
        let sent = first.redis.batches
        #expect(sent.items - before.items == 6 && sent.batches - before.batches == 1)
        for (place, reply) in replies.enumerated() {
            switch (place % 3, reply) {
            case (0, .held(let held)): #expect(held.rseq == Int64(place / 3 + 1), "\(place)")
            case (1, .held(let held)):
                #expect(held.balanceAfter >= .zero && held.balanceBefore <= .nano(10), "\(place)")
            case (1, .refused(let refusal)): #expect(refusal.balance == .zero && place > 50, "\(place)")
            case (2, .missing): break
            default: Issue.record("\(place): \(reply)")
            }
        }
        #expect(try benches.prefix(2).map { try $0.balance() } == [950, 0])
    }

    @Test func `settlements of several tenants are answered in their order`() throws {
        let benches = try [ImageBench(balance: 1_000), ImageBench(balance: 2_000)]
        let settlements = try (0..<200).map { place in
            let (bench, trace) = (benches[place % 2], TraceID.fresh())
            return bench.settlement(try bench.hold(10, trace: trace), trace, charge: Int64(place % 2))
        }
        let missing = try ImageBench(isInstalled: false)
        let gone = HoldSettlement(
            tenant: missing.tenant, trace: .fresh(), epoch: 1, rseq: 1, charge: .nano(1), isVoided: false)
        let replies = try benches[0].store.settle(settlements + [gone]).map { try $0.get() }
        for (place, reply) in replies.dropLast().enumerated() {
            let count = Int64(place / 2 + 1)
            let balance = place % 2 == 0 ? 10 * count : 1_000 + 9 * count
            #expect(reply == .settled(balance: .nano(balance)), "\(place)")
        }
        #expect(replies.last == .missing)
    }

    @Test func `money that is given back pays for what is taken in the same round trip`() throws {
        let bench = try ImageBench(balance: 100)
        let trace = TraceID.fresh()
        // So that Redis knows both scripts: one that it does not know is called once more after the others.
        _ = try bench.settle(bench.hold(1, trace: trace), trace, charge: 0)
        let held = try bench.hold(100, trace: trace)
        let before = bench.redis.batches.batches
        let sent = Locked(0)
        let replies = bench.store.exchange(
            settling: [bench.settlement(held, trace, charge: 30)],
            taking: [bench.order(70), bench.order(1)]
        ) { sent.withLock { $0 += 1 } }
        #expect(try replies.settled.map { try $0.get() } == [.settled(balance: .nano(70))])
        guard case .held = try replies.deducted[0].get(), case .refused = try replies.deducted[1].get() else {
            Issue.record("\(replies.deducted)")
            return
        }
        #expect(bench.redis.batches.batches == before + 1)
        #expect(sent.withLock { $0 } == 1)
    }

    @Test func `no orders are no calls`() throws {
        let bench = try ImageBench()
        let before = bench.redis.batches
        let replies = bench.store.exchange(settling: [], taking: []) {}
        #expect(replies.settled.isEmpty && replies.deducted.isEmpty)
        #expect(bench.redis.batches == before)
    }

    @Test func `a batch that Redis does not know the script of is carried out once`() throws {
        let server = try SharedServers.Redis()
        let bench = try ImageBench(server: server)
        try #require(try bench.install(epoch: 1) == .installed)
        _ = try bench.hold(1)
        _ = try bench.redis.command(["SCRIPT", "FLUSH"])
        let replies = try bench.store.deduct((0..<100).map { _ in bench.order(1) }).map { try $0.get() }
        let numbers = replies.map { if case .held(let held) = $0 { held.rseq } else { Int64(0) } }
        #expect(numbers.sorted() == Array(2...101))
        #expect(try bench.balance() == 899)
    }

    @Test func `a Redis without memory takes no hold of a batch and settles all of one`() throws {
        let server = try SharedServers.Redis()
        let bench = try ImageBench(server: server)
        try #require(try bench.install(epoch: 1) == .installed)
        let settlements = try (0..<3).map { _ in
            let trace = TraceID.fresh()
            return bench.settlement(try bench.hold(10, trace: trace), trace, charge: 4, isVoided: true)
        }
        let before = try bench.everything()
        _ = try bench.redis.command(["CONFIG", "SET", "maxmemory", "1"])
        for reply in bench.store.deduct((0..<3).map { _ in bench.order(1) }) {
            #expect(throws: QuotaError.self) { try reply.get() }
        }
        #expect(try bench.everything() == before)
        let replies = try bench.store.settle(settlements).map { try $0.get() }
        #expect(replies == [976, 982, 988].map { .settled(balance: .nano($0)) })
        #expect(try bench.image().dailyUsed == 0)
    }

    @Test func `past its time no order of a batch is carried out`() throws {
        let bench = try ImageBench()
        let before = try bench.everything()
        let orders = (0..<2).flatMap { _ in [TraceID.fresh().description, "1", "", "20250614", "0", "1"] }
        let reply = try bench.redis.evaluate(
            QuotaScripts.deduct, keys: [bench.keys.tenant, bench.keys.holds],
            arguments: [String(ImageBench.incarnation), "1750000000000000", "1", "0"] + orders)
        let answers = try DeductReply.read(reply, of: QuotaScripts.deduct, count: 2).map { try $0.get() }
        #expect(answers == [.late, .late])
        #expect(try bench.everything() == before)
    }

    // MARK: - Reading replies

    @Test func `a line that a script never writes fails its own order`() throws {
        let lines = ["OK|1", "GONE|x", "OK|", "WHAT|1", "GONE|-9000000000000000", "OK|1234567890123456789"]
        let answers = try answers(to: lines.joined(separator: "\n"), count: 6)
        #expect(
            answers == [
                .settled(balance: .nano(1)), nil, nil, nil, .gone(balance: .nano(-9_000_000_000_000_000)),
                nil,
            ])
    }

    @Test func `an order without a line is not answered with another's`() throws {
        #expect(try answers(to: "OK|5", count: 2) == [.settled(balance: .nano(5)), nil])
        #expect(try answers(to: "MISS", count: 2) == [.missing, .missing])
        #expect(try answers(to: "", count: 1) == [nil])
    }

    private func answers(to text: String, count: Int) throws -> [SettleReply?] {
        try SettleReply.read(.bulk(Array(text.utf8)), of: QuotaScripts.settle, count: count).map {
            if case .success(let reply) = $0 { reply } else { nil }
        }
    }
}
