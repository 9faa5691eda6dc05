import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

/// Two images that begin alike: what one gets in batches the other gets one by one; they must stay alike, and do what a third one in
/// Swift does.
struct BatchTrial {
    /// How the images begin, and the amounts of credits and orders.
    struct Setting: Sendable {
        let balance: Int64
        var creditLimit: Int64 = 0
        var dailyQuota: Int64?
        var monthlyQuota: Int64?
        var rates = ImageBench.Rates()
        var budgets: [BudgetContents] = []
        let credit: Int64
        let amountMax: Int64
    }

    /// The kinds of answers there have been.
    private(set) var seen: Set<String> = []

    private let setting: Setting
    private let batched: ImageBench
    private let single: ImageBench
    private let seed = UInt64.random(in: .min ... .max)
    private var oracle: QuotaOracle
    private var random: TestRandom
    private var credits: Int64 = 0
    private var taken: [(order: HoldOrder, held: HeldAmount)] = []

    /// What a failure has to say.
    var note: Comment { "seed \(seed)" }

    init(_ setting: Setting) throws {
        self.setting = setting
        let make = {
            try ImageBench(
                balance: setting.balance, creditLimit: setting.creditLimit, dailyQuota: setting.dailyQuota,
                monthlyQuota: setting.monthlyQuota, rates: setting.rates, budgets: setting.budgets)
        }
        (batched, single) = (try make(), try make())
        oracle = QuotaOracle(
            balance: setting.balance, creditLimit: setting.creditLimit, dailyQuota: setting.dailyQuota,
            monthlyQuota: setting.monthlyQuota, rates: setting.rates, budgets: setting.budgets)
        random = TestRandom(seed: seed)
    }

    /// Orders holds; some traces come again, also within a batch, and the day goes forth and sometimes back.
    mutating func takeHolds() throws {
        try batched.awaitEarlyMinute()
        let minute = (try batched.redis.command(["TIME"]).elements?[0].integer ?? 0) / 60
        var orders: [HoldOrder] = []
        for _ in 0..<size() {
            let known = (taken.suffix(20).map { $0.order } + orders).randomElement(using: &random)
            let isRepeated = known != nil && below(4) == 0
            let isOther = below(3) == 0
            let amount = isRepeated && !isOther ? known?.amount ?? .zero : .nano(amount())
            let least = below(3) == 0 ? Int64(below(Int(amount.nanodollars + 1))) : amount.nanodollars
            orders.append(
                HoldOrder(
                    tenant: batched.tenant, trace: isRepeated ? known?.trace ?? .fresh() : .fresh(),
                    key: isRepeated && !isOther ? known?.key : APIKeyID("key\(below(3))"),
                    amount: amount, least: isRepeated && !isOther ? known?.least : .nano(least),
                    period: period(), tokens: Int64(below(50)),
                    hasBudget: below(2) == 0 && setting.budgets.count == 3, limitsVersion: Int64(below(2))))
        }
        let replies = try batched.store.deduct(orders).map { try $0.get().withoutSeconds }
        for (order, reply) in zip(orders, replies) {
            let alone = HoldOrder(
                tenant: single.tenant, trace: order.trace, key: order.key, amount: order.amount,
                least: order.least, period: order.period, tokens: order.tokens, hasBudget: order.hasBudget,
                limitsVersion: order.limitsVersion)
            #expect(try single.store.deduct(alone).withoutSeconds == reply, note)
            #expect(oracle.deduct(order, minute: minute) == reply, note)
            if case .held(let held) = reply {
                taken.append((order, held))
                if held.amount < order.amount { seen.insert("lowered") }
            }
            note(reply)
        }
        try expectAlike()
    }

    /// Settles holds; some were settled before, also within the batch, and some are others than those that are held.
    mutating func settleHolds() throws {
        var settlements: [(batched: HoldSettlement, single: HoldSettlement)] = []
        for _ in 0..<size() {
            guard let (order, held) = taken.randomElement(using: &random) else { break }
            let charge = Money.nano(Int64(below(Int(held.amount.nanodollars + 1))))
            let (rseq, isVoided) = (below(6) == 0 ? held.rseq + 1 : held.rseq, below(3) == 0)
            let tokens = Int64(below(60))
            let make = { tenant in
                HoldSettlement(
                    tenant: tenant, trace: order.trace, epoch: held.epoch, rseq: rseq, charge: charge,
                    isVoided: isVoided, tokens: tokens)
            }
            settlements.append((make(batched.tenant), make(single.tenant)))
        }
        let replies = try batched.store.settle(settlements.map { $0.batched }).map { try $0.get() }
        for (settlement, reply) in zip(settlements, replies) {
            #expect(try single.store.settle(settlement.single) == reply, note)
            #expect(oracle.settle(settlement.batched) == reply, note)
            if case .settled = reply { seen.insert("settled") } else { seen.insert("gone") }
        }
        try expectAlike()
    }

    /// Adds a credit to both.
    mutating func addCredit() throws {
        credits += 1
        let amount = Money.nano(setting.credit)
        for bench in [batched, single] {
            let reply = try bench.store.credit(tenant: bench.tenant, sequence: credits, amount: amount)
            guard case .applied = reply else { throw BenchError() }
        }
        oracle.credit(setting.credit)
    }

    /// Lets a minute pass.
    mutating func passMinute() throws {
        guard oracle.hasRates else { return }
        for bench in [batched, single] { try bench.endMinute() }
        oracle.endMinute()
    }

    private mutating func note(_ reply: DeductReply) {
        switch reply {
        case .held: seen.insert("held")
        case .conflict: seen.insert("conflict")
        case .refused(let refusal): seen.insert(refusal.limit.rawValue)
        case .missing, .stale, .late: Issue.record("\(reply)")
        }
    }

    private func expectAlike() throws {
        let fields = try [batched, single].map { bench in
            try bench.everything().map { hash in
                let texts = (hash.elements ?? []).map { $0.text ?? "" }
                let pairs = stride(from: 0, to: texts.count, by: 2).map { (texts[$0], texts[$0 + 1]) }
                return Dictionary(uniqueKeysWithValues: pairs)
            }
        }
        try #require(fields[0] == fields[1], note)
        let tenant = fields[0][0]
        for (name, value) in oracle.fields { try #require(tenant[name] == value, "\(name), seed \(seed)") }
        for (key, budget) in oracle.budgets {
            let stored = fields[0][2 + (Int(key.suffix(1)) ?? 0)]
            try #require(stored["budget_used"] == String(budget.used), note)
            try #require(stored["period"] == budget.period, note)
            try #require(budget.used <= budget.limit, note)
        }
    }

    /// Mostly a few, sometimes more than a call carries.
    private mutating func size() -> Int { below(8) == 0 ? 60 + below(90) : 1 + below(12) }

    /// A day that comes after some credits, sometimes the one before; the month ends on the way.
    private mutating func period() -> Period {
        let days: [Int32] = [0624, 0625, 0626, 0701, 0702, 0703].map { 20_250_000 + $0 }
        let today = min(Int(credits) / 8, days.count - 1)
        return Period(day: days[max(0, below(6) == 0 ? today - 1 : today)])
    }

    private mutating func amount() -> Int64 { below(10) == 0 ? 0 : Int64(below(Int(setting.amountMax))) }

    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
}
