import Core
import Ledger
import Quota
import Redis
import Settlement
import TestSupport
import Testing

/// Holds as the ledger and Redis have them, differences included; looking changes nothing.
@Suite struct HoldSurveyTests {
    private func survey(_ bench: SettlementBench, _ tenant: TenantID? = nil) throws -> [SurveyedHold] {
        let survey = try HoldSurvey(ledger: bench.ledger, quota: bench.quota, tenant: tenant)
        #expect(survey.redisProblem == nil)
        return survey.holds
    }

    @Test func `a running request is pending and held, the oldest first, and gone when it is settled`() throws
    {
        let bench = try SettlementBench()
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1), leaseSeconds: 60)
        let acme = try bench.makeTenant("acme", balance: 1_000)
        let other = try bench.makeTenant("other", balance: 1_000)
        let first = try bench.reserve(acme, 300)
        let second = try bench.reserve(other, 200)
        let holds = try survey(bench)
        #expect(holds.map(\.trace) == [first.trace, second.trace].sorted())
        #expect(holds.allSatisfy { $0.status == .pending && $0.amountInRedis == $0.amount })
        #expect(holds.allSatisfy { $0.isOwnerAlive == true && $0.key == "key1" && $0.row?.owner == "bench" })
        #expect(try survey(bench, acme).map(\.amount) == [Money(nanodollars: 300)])
        try bench.settle(first, charge: 100)
        #expect(try survey(bench).map(\.trace) == [second.trace])
        bench.void(second)
        #expect(try survey(bench).isEmpty)
        try bench.expectExactBooks(acme)
        try bench.expectExactBooks(other)
    }

    @Test func `what a dead process left is shown as its own, until it is swept`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.reserve(tenant, 300)
        #expect(try survey(bench).map(\.isOwnerAlive) == [false])
        try bench.sweep()
        #expect(try survey(bench).isEmpty)
    }

    @Test func `a hold without a row, a row without a hold, and a hold whose row has ended are told apart`()
        throws
    {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let ended = try bench.reserve(tenant, 100)
        _ = bench.writer.write(.settlement(bench.committed(ended, 40)))
        let lost = try bench.reserve(tenant, 200)
        _ = try bench.redis.command(["HDEL", QuotaKeys(tenant).holds, lost.trace.description])
        let bare = TraceID.fresh()
        _ = try bench.quota.deduct(
            HoldOrder(
                tenant: tenant, trace: bare, key: nil, amount: Money(nanodollars: 300),
                period: SettlementBench.period))
        let holds = Dictionary(uniqueKeysWithValues: try survey(bench).map { ($0.trace, $0) })
        #expect(holds.count == 3)
        #expect(holds[ended.trace]?.status == .committed)
        #expect(holds[ended.trace]?.amountInRedis == Money(nanodollars: 100))
        #expect(holds[lost.trace]?.status == .pending && holds[lost.trace]?.amountInRedis == nil)
        let orphan = try #require(holds[bare])
        #expect(orphan.status == nil && orphan.amount == Money(nanodollars: 300) && orphan.key == nil)
        #expect(orphan.row == nil && orphan.isOwnerAlive == nil)
    }

    @Test func `without Redis the ledger's side is there, and why the other is not`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        let nowhere = RedisClient(RedisConfiguration(address: .unixSocket("/nonexistent.sock")))
        let survey = try HoldSurvey(
            ledger: bench.ledger, quota: QuotaStore(redis: nowhere) { _ in 0 }, tenant: nil)
        #expect(survey.redisProblem?.isEmpty == false)
        #expect(survey.holds.map(\.trace) == [hold.trace])
        #expect(survey.holds.first?.amountInRedis == nil && survey.holds.first?.status == .pending)
    }
}
