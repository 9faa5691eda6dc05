import Core
import Ledger
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

/// Requests of one process that wait for what another settles.
@Suite struct WaitAcrossTests {
    private let here: SettlementBench
    private let there: SettlementBench
    private let hearing: [RedisSubscriber]

    /// Two processes whose waiters never look for themselves.
    init() throws {
        var options = SettlementBench.Options()
        options.settleWait = SettleWait(
            milliseconds: 60_000, waitersMax: 100, lookMilliseconds: 3_600_000)
        here = try SettlementBench(options)
        options.owner = "there"
        there = try here.sibling(options)
        hearing = try [here, there].map { try #require(try $0.engine.hearSettlements()) }
        let redis = here.redis
        let areThere = try Eventually.holds {
            try redis.command(["PUBSUB", "NUMSUB", "gw:quota:settled"]).elements?.last?.integer == 2
        }
        #expect(areThere)
    }

    private func marker(_ tenant: TenantID) throws -> String? {
        try here.redis.command(["HGET", QuotaKeys(tenant).tenant, "waiting"]).text
    }

    @Test(arguments: [false, true])
    func `what one process gives back wakes who waits in another`(isVoided: Bool) throws {
        let tenant = try here.makeTenant(balance: 10)
        let hold = try here.reserve(tenant, 8)
        #expect(try marker(tenant) == nil, "nobody waits yet")
        let waiting = try Concurrently.begin(2) { _ in try there.reserve(tenant, 5) }
        #expect(Eventually.holds { there.engine.waitingCount == 2 })
        #expect(try Eventually.holds { try marker(tenant) == "1" })
        if isVoided { here.void(hold) } else { try here.settle(hold, charge: 0) }
        let began = Deadline.now
        #expect(try waiting.wait().count == 2)
        #expect(began.elapsedNanoseconds < 30_000_000_000)
        try here.expectExactBooks(tenant)
    }

    @Test func `a credit that one process adds wakes who waits in another`() throws {
        let tenant = try here.makeTenant(balance: 10)
        _ = try here.reserve(tenant, 8)
        let waiting = try Concurrently.begin(1) { _ in try there.reserve(tenant, 9) }
        #expect(try Eventually.holds { try marker(tenant) == "1" && there.engine.waitingCount == 1 })
        try here.addCredit(7, to: tenant, "more")
        _ = try waiting.wait()
        #expect(try marker(tenant) == nil)
        try here.expectExactBooks(tenant)
    }

    @Test func `nobody is told of a tenant that nobody waits for`() throws {
        let tenant = try here.makeTenant(balance: 20)
        let before = try published()
        for _ in 0..<5 { try here.settle(try there.reserve(tenant, 8), charge: 1) }
        // Refused, and no hold could help.
        #expect(there.refusal(tenant, 16)?.limit == .balance)
        #expect(try marker(tenant) == nil)
        #expect(try published() == before)
    }

    private func published() throws -> Int {
        let text = try here.redis.command(["INFO", "commandstats"]).text ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_publish:calls=") }
        return line.flatMap { Int($0.dropFirst("cmdstat_publish:calls=".count).prefix { $0 != "," }) } ?? 0
    }

    @Test func `who waits looks for itself when nothing is heard`() throws {
        var options = SettlementBench.Options()
        options.settleWait = SettleWait(milliseconds: 60_000, waitersMax: 100, lookMilliseconds: 50)
        options.owner = "deaf"
        let deaf = try here.sibling(options)
        let tenant = try here.makeTenant(balance: 10)
        let hold = try here.reserve(tenant, 8)
        let waiting = try Concurrently.begin(1) { _ in try deaf.reserve(tenant, 5) }
        #expect(Eventually.holds { deaf.engine.waitingCount == 1 })
        here.void(hold)
        _ = try waiting.wait()
        try here.expectExactBooks(tenant)
    }
}
