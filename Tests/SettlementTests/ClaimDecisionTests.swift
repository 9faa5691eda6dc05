import Core
import Ledger
import Quota
import Settlement
import TestSupport
import Testing

/// What becomes of a request with an idempotency key, from what stands under the key.
@Suite struct ClaimDecisionTests {
    private static let trace = TraceID.fresh()
    private static let answer = StoredAnswer(status: 200, contentType: "t", body: [1])
    private static let large = StoredAnswer(status: 200, contentType: "t", body: nil)

    private func standing(
        _ status: TransactionStatus?, isSameBody: Bool = true, answer: StoredAnswer? = nil
    ) -> StandingClaim {
        StandingClaim(
            trace: ClaimDecisionTests.trace, isSameBody: isSameBody, status: status, answer: answer)
    }

    @Test func `a key that stands for nothing, or for what was voided, is free`() {
        #expect(ClaimDecision(nil) == .run)
        #expect(ClaimDecision(standing(.voided)) == .run)
        #expect(ClaimDecision(standing(.voided, isSameBody: false)) == .run)
        #expect(ClaimDecision(standing(.voided, answer: ClaimDecisionTests.answer)) == .run)
    }

    @Test(arguments: [TransactionStatus.pending, .committed, nil])
    func `a key that stands for another body is refused, whatever became of it`(status: TransactionStatus?) {
        #expect(ClaimDecision(standing(status, isSameBody: false)) == .refuse(.otherBody))
    }

    @Test func `while the first request runs, or cannot be seen, nothing else does`() {
        #expect(ClaimDecision(standing(.pending)) == .refuse(.running))
        #expect(ClaimDecision(standing(nil)) == .refuse(.running))
    }

    @Test func `what was charged is given again, or never run again`() {
        let answer = ClaimDecisionTests.answer
        #expect(
            ClaimDecision(standing(.committed, answer: answer))
                == .replay(answer, of: ClaimDecisionTests.trace))
        #expect(ClaimDecision(standing(.committed)) == .refuse(.interrupted))
        #expect(ClaimDecision(standing(.committed, answer: ClaimDecisionTests.large)) == .refuse(.tooLarge))
    }

    @Test func `who has lost the claim is told of the other, and who was refused only if there is one`() {
        let lost = SettlementError.keyInUse
        #expect(ClaimDecision.afterFailure(lost, nil) == .running)
        #expect(ClaimDecision.afterFailure(lost, standing(.pending)) == .running)
        #expect(ClaimDecision.afterFailure(lost, standing(.pending, isSameBody: false)) == .otherBody)
        #expect(
            ClaimDecision.afterFailure(lost, standing(.committed, answer: ClaimDecisionTests.answer))
                == .running)
        let unavailable = SettlementError.unavailable("")
        #expect(ClaimDecision.afterFailure(unavailable, standing(.pending)) == nil)
    }

    /// A request with a claim.
    private func order(_ tenant: TenantID, _ amount: Int64) -> ReserveOrder {
        ReserveOrder(
            tenant: tenant, trace: .fresh(), key: APIKeyID("key1"), amount: Money(nanodollars: amount),
            period: SettlementBench.period, deadlineMilliseconds: 60_000, capability: "chat", model: "m",
            isStream: false, claim: IdempotencyClaim(key: "k", bodyHash: Array(repeating: 1, count: 32)))
    }

    /// Why an order is not admitted; nil when it is.
    private func failure(_ bench: SettlementBench, _ order: ReserveOrder) -> SettlementError? {
        do throws(SettlementError) {
            _ = try bench.engine.reserve(order)
            return nil
        } catch {
            return error
        }
    }

    @Test func `who loses the claim gives the hold back and learns of the winner`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let claims = IdempotencyClaims(ledger: bench.ledger)
        let first = try bench.engine.reserve(order(tenant, 600))
        let second = order(tenant, 300)
        let claim = try #require(second.claim)
        let key = try #require(second.key)
        let lost = try #require(failure(bench, second))
        guard case .keyInUse = lost else {
            Issue.record("two requests under one key: \(lost)")
            return
        }
        #expect(claims.refusal(of: claim, tenant, key: key, after: lost) == .running)
        #expect(try bench.expectExactBooks(tenant).image?.held == Money(nanodollars: 600))
        // One whom the winner's hold has left too little is told of the winner.
        let refused = try #require(failure(bench, order(tenant, 500)))
        guard case .refused = refused else {
            Issue.record("more held than there is: \(refused)")
            return
        }
        #expect(claims.refusal(of: claim, tenant, key: key, after: refused) == .running)
        bench.void(first)
        #expect(try claims.decision(on: claim, of: tenant, key: key) == .run)
        _ = try bench.engine.reserve(order(tenant, 1_000))
        try bench.expectExactBooks(tenant)
    }
}
