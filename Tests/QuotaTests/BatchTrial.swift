import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

/// Two images that begin alike: what one gets in batches the other gets one by one, and they must stay alike.
struct BatchTrial {
    /// How the images begin, and the amounts of credits and orders.
    struct Setting: Sendable {
        let balance: Int64
        var creditLimit: Int64 = 0
        var dailyQuota: Int64?
        var monthlyQuota: Int64?
        let credit: Int64
        let amountMax: Int64
    }

    /// The kinds of answers there have been.
    private(set) var seen: Set<String> = []

    private let setting: Setting
    private let batched: ImageBench
    private let single: ImageBench
    private let seed = UInt64.random(in: .min ... .max)
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
                monthlyQuota: setting.monthlyQuota)
        }
        (batched, single) = (try make(), try make())
        random = TestRandom(seed: seed)
    }

    /// Orders holds; some traces come again, also within a batch, and the day goes forth and sometimes back.
    mutating func takeHolds() throws {
        var orders: [HoldOrder] = []
        for _ in 0..<size() {
            let known = (taken.suffix(20).map { $0.order } + orders).randomElement(using: &random)
            let isRepeated = known != nil && below(4) == 0
            let isOther = below(3) == 0
            orders.append(
                HoldOrder(
                    tenant: batched.tenant, trace: isRepeated ? known?.trace ?? .fresh() : .fresh(),
                    key: isRepeated && !isOther ? known?.key : APIKeyID("key\(below(3))"),
                    amount: isRepeated && !isOther ? known?.amount ?? .zero : .nano(amount()),
                    period: period()))
        }
        let replies = try batched.store.deduct(orders).map { try $0.get() }
        for (order, reply) in zip(orders, replies) {
            let alone = HoldOrder(
                tenant: single.tenant, trace: order.trace, key: order.key, amount: order.amount,
                period: order.period)
            #expect(try single.store.deduct(alone) == reply, note)
            if case .held(let held) = reply { taken.append((order, held)) }
            note(reply)
        }
        try expectAlike()
    }

    /// Settles holds; some were settled before, also within the batch, and some are others than those that are held.
    mutating func settleHolds() throws {
        var settlements: [(batched: HoldSettlement, single: HoldSettlement)] = []
        for _ in 0..<size() {
            guard let (order, held) = taken.randomElement(using: &random) else { break }
            let charge = Money.nano(Int64(below(Int(order.amount.nanodollars + 1))))
            let (rseq, isVoided) = (below(6) == 0 ? held.rseq + 1 : held.rseq, below(3) == 0)
            let make = { tenant in
                HoldSettlement(
                    tenant: tenant, trace: order.trace, epoch: held.epoch, rseq: rseq, charge: charge,
                    isVoided: isVoided)
            }
            settlements.append((make(batched.tenant), make(single.tenant)))
        }
        let replies = try batched.store.settle(settlements.map { $0.batched }).map { try $0.get() }
        for (settlement, reply) in zip(settlements, replies) {
            #expect(try single.store.settle(settlement.single) == reply, note)
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
    }

    private mutating func note(_ reply: DeductReply) {
        switch reply {
        case .held: seen.insert("held")
        case .conflict: seen.insert("conflict")
        case .refused(let refusal): seen.insert(refusal.limit.rawValue)
        case .missing, .late: Issue.record("\(reply)")
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
