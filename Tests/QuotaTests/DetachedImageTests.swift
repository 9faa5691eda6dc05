import Core
import TestTools
import Testing

@testable import Quota

/// An image in memory must do what the script does to one in Redis.
@Suite struct DetachedImageTests {
    private struct Setting: Sendable {
        var balance: Int64 = 2_000
        var creditLimit: Int64 = 0
        var dailyQuota: Int64?
        var monthlyQuota: Int64?
        var rates = ImageBench.Rates()
        var budgets: [BudgetContents] = []
    }

    private static func budget(_ key: String, _ limit: Int64?, _ period: BudgetPeriod) throws
        -> BudgetContents
    {
        BudgetContents(
            key: try #require(APIKeyID(key)),
            budget: KeyBudget(limit: limit.map { .nano($0) }, period: period),
            used: .nano(30))
    }

    private static func settings() throws -> [Setting] {
        [
            Setting(), Setting(balance: 100, creditLimit: 900), Setting(dailyQuota: 30),
            Setting(monthlyQuota: 20),
            Setting(rates: ImageBench.Rates(requests: 12, tokens: nil, concurrency: nil)),
            Setting(rates: ImageBench.Rates(requests: nil, tokens: 400, concurrency: nil)),
            Setting(rates: ImageBench.Rates(requests: nil, tokens: nil, concurrency: 9)),
            Setting(budgets: [
                try budget("key0", 400, .total), try budget("key1", 300, .day),
                try budget("key2", 200, .month),
                try budget("key3", nil, .day),
            ]),
        ]
    }

    @Test func `it takes and refuses in the script's words`() throws {
        var seen: Set<String> = []
        for setting in try Self.settings() {
            let bench = try ImageBench(
                balance: setting.balance, creditLimit: setting.creditLimit, dailyQuota: setting.dailyQuota,
                monthlyQuota: setting.monthlyQuota, rates: setting.rates, budgets: setting.budgets)
            try bench.awaitEarlyMinute()
            let limits = TenantLimits(
                version: 1, creditLimit: .nano(setting.creditLimit), dailyQuota: setting.dailyQuota,
                monthlyQuota: setting.monthlyQuota, requestsPerMinute: setting.rates.requests,
                tokensPerMinute: setting.rates.tokens, concurrency: setting.rates.concurrency)
            var image = DetachedImage(
                ImageContents(
                    epoch: 1, balance: .nano(setting.balance), limits: limits, creditSequence: 0,
                    period: Period(day: ImageBench.today), dailyUsed: 0, monthlyUsed: 0,
                    budgets: setting.budgets, holds: []), minute: (0, 0, 0))
            for _ in 0..<60 {
                let amount = Int64.random(in: 0...90)
                let order = bench.order(
                    amount, least: .random(in: 0...amount), key: "key\(Int.random(in: 0..<5))",
                    tokens: Int64.random(in: 0...60), hasBudget: false)
                let (inRedis, inMemory) = (try bench.store.deduct(order).bare, image.take(order).bare)
                #expect(inRedis == inMemory)
                switch inMemory {
                case .held: seen.insert("held")
                case .refused(let refusal): seen.insert(refusal.limit.rawValue)
                default: Issue.record("\(inMemory)")
                }
            }
        }
        #expect(seen.count == 8, "only \(seen)")
    }

    @Test func `it takes all that is left where the script does`() throws {
        var lowered = 0
        for least in [0, 1, 199, 200, 370, 371, 1_000, 1_001, 2_000, 2_001, 3_000] as [Int64] {
            for (setting, key) in zip(try Self.settings() + Self.settings(), 0...) {
                let bench = try ImageBench(
                    balance: setting.balance, creditLimit: setting.creditLimit, budgets: setting.budgets)
                var image = DetachedImage(
                    ImageContents(
                        epoch: 1, balance: .nano(setting.balance),
                        limits: TenantLimits(
                            version: 1, creditLimit: .nano(setting.creditLimit), dailyQuota: nil,
                            monthlyQuota: nil),
                        creditSequence: 0, period: Period(day: ImageBench.today), dailyUsed: 0,
                        monthlyUsed: 0, budgets: setting.budgets, holds: []), minute: nil)
                // The second comes while the first holds money.
                for number in 0..<3 {
                    let order = bench.order(3_000, least: least, key: "key\((key + number / 2) % 5)")
                    let (inRedis, inMemory) = (try bench.store.deduct(order).bare, image.take(order).bare)
                    #expect(inRedis == inMemory, "\(setting), at least \(least)")
                    if case .held(let held) = inMemory, held.amount < .nano(3_000) { lowered += 1 }
                }
            }
        }
        #expect(lowered > 50)
    }

    @Test func `holds and the minute of before count`() throws {
        let limits = TenantLimits(
            version: 3, creditLimit: .zero, dailyQuota: nil, monthlyQuota: nil, requestsPerMinute: 5,
            tokensPerMinute: nil, concurrency: 3)
        let holds = [(trace: "a", hold: ""), (trace: "b", hold: "")]
        let contents = ImageContents(
            epoch: 9, balance: .nano(100), limits: limits, creditSequence: 4,
            period: Period(day: ImageBench.today), dailyUsed: 7, monthlyUsed: 70, holds: holds)
        let bench = try ImageBench(isInstalled: false)
        var image = DetachedImage(contents, minute: (3, 0, 20))
        guard case .held(let held) = image.take(bench.order(10)) else { throw BenchError() }
        #expect(held.dailyUsed == 8 && held.monthlyUsed == 71 && held.minute?.requests == 4)
        guard case .refused(let refusal) = image.take(bench.order(10)) else { throw BenchError() }
        #expect(refusal.limit == .concurrency && refusal.used == 3)
        var other = DetachedImage(contents, minute: (5, 0, 20))
        guard case .refused(let refusal) = other.take(bench.order(10)) else { throw BenchError() }
        #expect(refusal.limit == .requestsPerMinute && refusal.reset == .seconds(20))
        #expect(refusal.creditSequence == 4 && refusal.limitsVersion == 3 && refusal.epoch == 9)
    }
}

extension DeductReply {
    /// Without numbers of holds and seconds, which an image in memory has none of.
    fileprivate var bare: DeductReply {
        switch self {
        case .held(let held):
            var bare = HeldAmount(
                epoch: held.epoch, rseq: 0, balanceBefore: held.balanceBefore,
                balanceAfter: held.balanceAfter, dailyUsed: held.dailyUsed, monthlyUsed: held.monthlyUsed,
                dailyQuota: held.dailyQuota, monthlyQuota: held.monthlyQuota,
                limitsVersion: held.limitsVersion, period: held.period)
            bare.budget = held.budget
            bare.minute = held.minute.map {
                MinuteUse(
                    requestsLimit: $0.requestsLimit, requests: $0.requests, tokensLimit: $0.tokensLimit,
                    tokens: $0.tokens, secondsLeft: 0)
            }
            return .held(bare)
        case .refused(var refusal):
            if case .seconds = refusal.reset { refusal.reset = .seconds(0) }
            return .refused(refusal)
        default: return self
        }
    }
}
