import Core
import PrivateServers
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct ExtendTests {
    private func extend(
        _ bench: ImageBench, _ held: HeldAmount, _ trace: TraceID, to amount: Int64, budgetKey: String? = nil
    ) throws -> ExtendReply {
        try bench.store.extend(
            HoldExtension(
                tenant: bench.tenant, trace: trace, epoch: held.epoch, rseq: held.rseq,
                budgetKey: budgetKey.flatMap { APIKeyID($0) }, amount: .nano(amount)))
    }

    @Test func `a hold is raised to the amount, and nothing is counted but money`() throws {
        let bench = try ImageBench(balance: 1_000, dailyQuota: 1)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        #expect(try extend(bench, held, trace, to: 700) == .extended(.nano(700), epoch: 1))
        let image = try bench.image()
        #expect(image.balance == .nano(300) && image.held == .nano(700))
        #expect(image.dailyUsed == 1 && image.version == 1)
        #expect(try bench.settle(held, trace, charge: 650) == .settled(balance: .nano(350)))
    }

    @Test func `the same extension again, or a smaller one, takes nothing more`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        _ = try extend(bench, held, trace, to: 700)
        let before = try bench.everything()
        #expect(try extend(bench, held, trace, to: 700) == .extended(.nano(700), epoch: 1))
        #expect(try extend(bench, held, trace, to: 200) == .extended(.nano(700), epoch: 1))
        #expect(try bench.everything() == before)
    }

    @Test func `a hold is raised as far as the balance and the credit limit allow, and then not at all`()
        throws
    {
        let bench = try ImageBench(balance: 1_000, creditLimit: 50)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        #expect(try extend(bench, held, trace, to: 5_000) == .extended(.nano(1_050), epoch: 1))
        #expect(try bench.balance() == -50)
        let before = try bench.everything()
        #expect(
            try extend(bench, held, trace, to: 5_000)
                == .refused(epoch: 1, creditSequence: 0, limitsVersion: 1))
        #expect(try bench.everything() == before)
    }

    @Test func `an amount of many digits is raised exactly`() throws {
        let balance: Int64 = 8_999_999_999_999_999
        let bench = try ImageBench(balance: balance, creditLimit: 4_000_000_000_000_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(1, trace: trace)
        #expect(
            try extend(bench, held, trace, to: 3_999_999_999_999_999)
                == .extended(.nano(3_999_999_999_999_999), epoch: 1))
        #expect(try bench.balance() == balance - 3_999_999_999_999_999)
    }

    @Test func `a hold is raised no further than the key's budget, which then has it in use`() throws {
        let bench = try ImageBench(isInstalled: false)
        let budget = try ImageBench.budget("key1", 500)
        #expect(try bench.install(epoch: 1, budgets: [budget]) == .installed)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace, hasBudget: true)
        #expect(
            try extend(bench, held, trace, to: 400, budgetKey: "key1") == .extended(.nano(400), epoch: 1))
        #expect(try bench.budgetUsed() == 400)
        #expect(
            try extend(bench, held, trace, to: 600, budgetKey: "key1") == .extended(.nano(500), epoch: 1))
        #expect(
            try extend(bench, held, trace, to: 600, budgetKey: "key1")
                == .refused(epoch: 1, creditSequence: 0, limitsVersion: 1))
        #expect(try bench.budgetUsed() == 500)
        #expect(try bench.settle(held, trace, charge: 10) == .settled(balance: .nano(990)))
        #expect(try bench.budgetUsed() == 10)
    }

    @Test func `a budget whose day is over does not bound a hold of the day before`() throws {
        let bench = try ImageBench(isInstalled: false)
        #expect(
            try bench.install(epoch: 1, budgets: [try ImageBench.budget("key1", 500, .day)]) == .installed)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace, hasBudget: true)
        _ = try bench.hold(100, day: ImageBench.today + 1, hasBudget: true)
        #expect(
            try extend(bench, held, trace, to: 800, budgetKey: "key1") == .extended(.nano(800), epoch: 1))
        #expect(try bench.budgetUsed() == 100)
    }

    @Test func `a budget that is lost is a miss of the whole image`() throws {
        let bench = try ImageBench(isInstalled: false)
        #expect(try bench.install(epoch: 1, budgets: [try ImageBench.budget("key1", 500)]) == .installed)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace, hasBudget: true)
        _ = try bench.redis.command(["DEL", bench.keys.budget(of: "key1")])
        #expect(try extend(bench, held, trace, to: 400, budgetKey: "key1") == .missing)
        #expect(try bench.redis.command(["HGET", bench.keys.tenant, "inc"]) == .null)
    }

    @Test func `a hold that has ended, or another one under its trace, is gone`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        _ = try bench.settle(held, trace, charge: 100)
        #expect(try extend(bench, held, trace, to: 400) == .gone)
        let other = try bench.hold(50, trace: trace)
        #expect(try extend(bench, held, trace, to: 400) == .gone)
        #expect(try extend(bench, other, trace, to: 60) == .extended(.nano(60), epoch: 1))
    }

    @Test func `without an image of this life nothing is raised`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        let before = try bench.everything()
        let other = QuotaStore(redis: bench.redis) { _ in ImageBench.incarnation + 1 }
        let order = HoldExtension(
            tenant: bench.tenant, trace: trace, epoch: held.epoch, rseq: held.rseq, budgetKey: nil,
            amount: .nano(400))
        #expect(try other.extend(order) == .missing)
        #expect(try bench.everything() == before)
    }

    @Test func `past its time a command does nothing`() throws {
        let bench = try ImageBench(balance: 1_000)
        let trace = TraceID.fresh()
        let held = try bench.hold(300, trace: trace)
        let before = try bench.everything()
        let reply = try bench.evaluate(
            QuotaScripts.extend, [bench.keys.tenant, bench.keys.holds],
            [
                String(ImageBench.incarnation), "1750000000000000", trace.description, String(held.epoch),
                String(held.rseq), "400",
            ])
        #expect(reply == ["LATE"])
        #expect(try bench.everything() == before)
    }

    @Test func `a hold of an earlier epoch is raised in the image that was made of its row`() throws {
        let bench = try ImageBench(isInstalled: false)
        let trace = TraceID.fresh()
        let stored = "300|4|17|key1|\(ImageBench.today)|\(ImageBench.today / 100)|0|0"
        #expect(try bench.install(epoch: 6, holds: [(trace.description, stored)]) == .installed)
        let order = HoldExtension(
            tenant: bench.tenant, trace: trace, epoch: 4, rseq: 17, budgetKey: nil, amount: .nano(400))
        #expect(try bench.store.extend(order) == .extended(.nano(400), epoch: 6))
        let after = try bench.redis.command(["HGET", bench.keys.holds, trace.description]).text
        #expect(after == stored.replacing("300|", with: "400|", maxReplacements: 1))
    }
}
