import Core
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct DeductLimitTests {
    // MARK: - Daily and monthly quotas

    @Test func `the daily quota admits exactly its number of requests and then takes no money`() throws {
        let bench = try ImageBench(balance: 1_000, dailyQuota: 3)
        for used in 1...3 { #expect(try bench.hold(10).dailyUsed == Int64(used)) }
        let before = try bench.everything()
        let refusal = try bench.refusal(10)
        #expect(refusal.limit == .dailyQuota && refusal.limitValue == 3 && refusal.used == 3)
        #expect(try bench.everything() == before)
    }

    @Test func `the monthly quota admits exactly its number of requests and then takes no money`() throws {
        let bench = try ImageBench(balance: 1_000, dailyQuota: 100, monthlyQuota: 2)
        _ = try bench.hold(10)
        _ = try bench.hold(10)
        let before = try bench.everything()
        let refusal = try bench.refusal(10)
        #expect(refusal.limit == .monthlyQuota && refusal.limitValue == 2 && refusal.used == 2)
        #expect(try bench.everything() == before)
    }

    @Test func `a quota of zero refuses every request`() throws {
        #expect(try ImageBench(dailyQuota: 0).refusal(1).limit == .dailyQuota)
        #expect(try ImageBench(monthlyQuota: 0).refusal(1).limit == .monthlyQuota)
    }

    @Test func `without quotas requests are counted and never refused`() throws {
        let bench = try ImageBench(balance: 1_000)
        for _ in 0..<20 { _ = try bench.hold(1) }
        let held = try bench.hold(1)
        #expect(held.dailyUsed == 21 && held.monthlyUsed == 21)
        #expect(held.dailyQuota == nil && held.monthlyQuota == nil)
    }

    @Test func `a new day begins at one and the month goes on`() throws {
        let bench = try ImageBench(dailyQuota: 2, monthlyQuota: 10)
        _ = try bench.hold(1, day: 20_250_614)
        _ = try bench.hold(1, day: 20_250_614)
        let held = try bench.hold(1, day: 20_250_615)
        #expect(held.dailyUsed == 1 && held.monthlyUsed == 3)
        #expect(held.period == Period(day: 20_250_615))
    }

    @Test func `a new month begins at one`() throws {
        let bench = try ImageBench(monthlyQuota: 2)
        _ = try bench.hold(1, day: 20_250_629)
        _ = try bench.hold(1, day: 20_250_630)
        #expect(try bench.refusal(1, day: 20_250_630).limit == .monthlyQuota)
        let held = try bench.hold(1, day: 20_250_701)
        #expect(held.dailyUsed == 1 && held.monthlyUsed == 1)
    }

    @Test func `a host whose clock is a day behind cannot reopen yesterday`() throws {
        let bench = try ImageBench(dailyQuota: 3, monthlyQuota: 100)
        _ = try bench.hold(1, day: 20_250_615)
        let behind = try bench.hold(1, day: 20_250_614)
        #expect(behind.period == Period(day: 20_250_615))
        #expect(behind.dailyUsed == 2)
        #expect(try bench.hold(1, day: 20_250_615).dailyUsed == 3)
        #expect(try bench.refusal(1, day: 20_250_614).limit == .dailyQuota)
    }

    @Test func `a host whose clock is a month behind cannot reopen last month`() throws {
        let bench = try ImageBench(monthlyQuota: 2)
        _ = try bench.hold(1, day: 20_250_701)
        let behind = try bench.hold(1, day: 20_250_630)
        #expect(behind.period == Period(day: 20_250_701) && behind.monthlyUsed == 2)
        #expect(try bench.refusal(1, day: 20_250_630).limit == .monthlyQuota)
    }

    @Test func `a refusal on a new day does not begin that day`() throws {
        let bench = try ImageBench(balance: 10, dailyQuota: 5)
        _ = try bench.hold(1, day: 20_250_614)
        #expect(try bench.refusal(100, day: 20_250_615).limit == .balance)
        #expect(try bench.image().dailyUsed == 1)
        #expect(try bench.hold(1, day: 20_250_614).dailyUsed == 2)
    }

    // MARK: - Money at the limits of what is exact

    @Test func `the credit limit is how far below zero a balance goes, to the nano-dollar`() throws {
        let bench = try ImageBench(balance: 100, creditLimit: 50)
        #expect(try bench.hold(100).balanceAfter == .zero)
        #expect(try bench.hold(49).balanceAfter == .nano(-49))
        #expect(try bench.refusal(2).limit == .balance)
        #expect(try bench.refusal(2).limitValue == 50)
        #expect(try bench.hold(1).balanceAfter == .nano(-50))
        #expect(try bench.refusal(1).limit == .balance)
    }

    @Test func `the largest balance and the largest hold are exact to the nano-dollar`() throws {
        let top = Money.limit.nanodollars
        let most = Money.holdLimit.nanodollars
        let bench = try ImageBench(balance: top)
        let trace = TraceID.fresh()
        let held = try bench.hold(most, trace: trace)
        #expect(held.balanceBefore == .limit && held.balanceAfter == .nano(top - most))
        #expect(try bench.hold(most, trace: trace) == held)
        #expect(try bench.settle(held, trace, charge: 1) == .settled(balance: .nano(top - 1)))
        let odd = try bench.hold(most - 1)
        #expect(odd.balanceBefore == .nano(top - 1) && odd.balanceAfter == .nano(top - most))
    }

    @Test func `the largest credit limit is reached exactly and not passed by one`() throws {
        let most = Money.holdLimit.nanodollars
        let bench = try ImageBench(balance: 3, creditLimit: most)
        #expect(try bench.hold(most).balanceAfter == .nano(3 - most))
        #expect(try bench.refusal(4).limit == .balance)
        #expect(try bench.hold(3).balanceAfter == .nano(-most))
        let before = try bench.everything()
        // The lowest number the script ever computes: −4e15 − 4e15.
        #expect(try bench.refusal(most).limit == .balance)
        #expect(try bench.refusal(1).balance == .nano(-most))
        #expect(try bench.everything() == before)
    }

    @Test func `counts near the largest quota are exact`() throws {
        let quota = Money.limit.nanodollars
        let bench = try ImageBench(isInstalled: false)
        _ = try bench.install(epoch: 1, dailyQuota: quota, dailyUsed: quota - 1, monthlyUsed: quota - 1)
        #expect(try bench.hold(1).dailyUsed == quota)
        #expect(try bench.refusal(1).used == quota)
    }

    @Test func `a thousand random orders, settlements and credits agree with plain arithmetic`() throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = TestRandom(seed: seed)
        let bench = try ImageBench(balance: 5_000_000_000_000_000, creditLimit: 1_000_000_000_000_000)
        var balance: Int64 = 5_000_000_000_000_000
        var running: [(trace: TraceID, held: HeldAmount, amount: Int64)] = []
        var credits: Int64 = 0
        for step in 0..<1_000 {
            let note: Comment = "seed \(seed), step \(step)"
            switch random.next() % 5 {
            case 0, 1:
                let amount = Int64(random.next() % UInt64(Money.holdLimit.nanodollars))
                let trace = TraceID.fresh()
                let reply = try bench.deduct(amount, trace: trace)
                if balance - amount >= -1_000_000_000_000_000 {
                    guard case .held(let held) = reply else {
                        Issue.record("refused \(amount) of \(balance): \(note)")
                        return
                    }
                    #expect(held.balanceBefore == .nano(balance), note)
                    balance -= amount
                    #expect(held.balanceAfter == .nano(balance), note)
                    running.append((trace, held, amount))
                } else {
                    guard case .refused(let refusal) = reply else {
                        Issue.record("granted \(amount) of \(balance): \(note)")
                        return
                    }
                    #expect(refusal.balance == .nano(balance), note)
                }
            case 2, 3:
                guard let index = running.indices.randomElement(using: &random) else { continue }
                let entry = running.remove(at: index)
                let charge = Int64(random.next() % UInt64(entry.amount + 1))
                balance += entry.amount - charge
                #expect(
                    try bench.settle(entry.held, entry.trace, charge: charge)
                        == .settled(balance: .nano(balance)), note)
            default:
                let amount = Int64(random.next() % 1_000_000_000_000)
                guard balance + amount + running.reduce(0, { $0 + $1.amount }) < 9_000_000_000_000_000 else {
                    continue
                }
                credits += 1
                balance += amount
                #expect(
                    try bench.store.credit(tenant: bench.tenant, sequence: credits, amount: .nano(amount))
                        == .applied(balance: .nano(balance)), note)
            }
        }
        let image = try bench.image()
        #expect(image.balance == .nano(balance))
        #expect(image.held == .nano(running.reduce(0) { $0 + $1.amount }))
    }
}
