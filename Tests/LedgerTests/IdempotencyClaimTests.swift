import Core
import Postgres
import TestSupport
import TestTools
import Testing
import Threads

@testable import Ledger

/// Claims and answers in the ledger, where the unique key decides.
@Suite struct IdempotencyClaimTests {
    private let bench: LedgerBench
    private let tenant: TenantID

    init() throws {
        bench = try LedgerBench()
        tenant = try bench.makeTenant()
    }

    /// A row as the protocol makes it, with a claim.
    private func row(
        _ key: String = "k", trace: TraceID = .fresh(), epoch: Int64 = 0, body: UInt8 = 1,
        tenant: TenantID? = nil, apiKey: String = "key1"
    ) -> PendingRow {
        var row = bench.pending(tenant ?? self.tenant, trace, epoch: epoch, key: apiKey)
        row.claim = IdempotencyClaim(key: key, bodyHash: Array(repeating: body, count: 32))
        return row
    }

    private func standing(_ key: String = "k", body: UInt8 = 1) throws -> StandingClaim? {
        try LedgerReader.claim(
            bench.app, IdempotencyClaim(key: key, bodyHash: Array(repeating: body, count: 32)), of: tenant,
            key: try #require(APIKeyID("key1")))
    }

    private func traces() throws -> Set<String> {
        let rows = try bench.execute("SELECT trace_id FROM billing_transactions")
        return Set((0..<rows.count).map { rows.text($0, 0) })
    }

    private func committed(_ trace: TraceID, body: String?) -> RowSettlement {
        var settlement = bench.committed(tenant, trace, charge: 5)
        settlement.answer = StoredAnswer(
            status: 200, contentType: "application/json", body: body.map { Array($0.utf8) })
        return settlement
    }

    private func voided(_ trace: TraceID) -> RowSettlement {
        RowSettlement(tenant: tenant, trace: trace, status: .voided)
    }

    @Test func `of many at once with one key exactly one row is inserted`() throws {
        let rows = (0..<50).map { _ in row() }
        let others = [bench.makeWriter(owner: "a"), bench.makeWriter(owner: "b")]
        let outcomes = try Concurrently.run(50) { index in others[index % 2].write(.pending(rows[index])) }
        let winners = rows.indices.filter { outcomes[$0].isWritten }
        #expect(winners.count == 1)
        #expect(outcomes.count { $0.isKeyTaken } == 49)
        #expect(try traces() == Set(winners.map { rows[$0].trace.description }))
        #expect(try standing()?.trace == winners.first.map { rows[$0].trace })
    }

    @Test func `of several with one key in one batch the first has it, and rows beside them are written`()
        throws
    {
        let plain = bench.pending(tenant)
        let rows = [row("a"), row("b"), row("a"), row("a"), row("c")]
        let ended = try bench.insert(tenant)
        let outcomes = bench.writer.write(
            rows.map { .pending($0) } + [
                .pending(plain), .settlement(bench.committed(tenant, ended, charge: 1)),
            ])
        #expect(outcomes.map(\.isWritten) == [true, true, false, false, true, true, true])
        #expect(outcomes[2].isKeyTaken && outcomes[3].isKeyTaken)
    }

    @Test func `the same text is another key for another API key and another tenant`() throws {
        let other = try bench.makeTenant("other")
        for row in [row(), row(apiKey: "key2"), row(tenant: other)] {
            #expect(bench.writer.write(.pending(row)).isWritten)
        }
    }

    @Test func `a batch that is repeated knows its own claim`() throws {
        let row = row()
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(try traces().count == 1)
    }

    @Test func `a taken key is not the last word when an earlier try may still be on its way`() throws {
        #expect(bench.writer.write(.pending(row())).isWritten)
        let batch = LedgerBatch(database: bench.writing, owner: "test", attemptsMax: 3)
        let late = LedgerWriter.Write.pending(row())
        #expect(try batch.standing([late], isRepeated: false)[0].isKeyTaken)
        // Should the key be voided before that try arrives, its row stands: it must be looked for, and its hold be kept.
        guard case .unknown = try batch.standing([late], isRepeated: true)[0] else {
            Issue.record("the hold would be given back")
            return
        }
    }

    @Test func `a voided request leaves its key, and a committed or pending one keeps it`() throws {
        let first = row()
        #expect(bench.writer.write(.pending(first)).isWritten)
        #expect(bench.writer.write(.pending(row())).isKeyTaken)
        #expect(bench.writer.write(.settlement(voided(first.trace))).isWritten)
        #expect(try standing()?.status == .voided)
        let second = row(body: 2)
        #expect(bench.writer.write(.pending(second)).isWritten)
        #expect(
            try standing(body: 2)
                == StandingClaim(
                    trace: second.trace, isSameBody: true, status: .pending, answer: nil))
        #expect(bench.writer.write(.settlement(committed(second.trace, body: "answer"))).isWritten)
        #expect(bench.writer.write(.pending(row())).isKeyTaken)
        #expect(try traces().count == 2)
    }

    @Test func `a row that is not accepted leaves no claim`() throws {
        _ = try bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0)
        #expect(bench.writer.write(.pending(row(epoch: 0))).isFenced)
        #expect(try standing() == nil)
        #expect(bench.writer.write(.pending(row(epoch: 1))).isWritten)
    }

    @Test func `a row that comes after its tombstone claims nothing that lasts`() throws {
        let late = row()
        try bench.ledger.insertTombstone(
            tenant: tenant, trace: late.trace, key: "key1", epoch: 0, rseq: 1, period: late.period,
            hold: late.hold)
        #expect(bench.writer.write(.pending(late)).standing?.status == .voided)
        #expect(bench.writer.write(.pending(row())).isWritten)
    }

    @Test func `an expired key is taken over, and its answer is not the new request's`() throws {
        let first = row()
        #expect(bench.writer.write(.pending(first)).isWritten)
        #expect(bench.writer.write(.settlement(committed(first.trace, body: "old"))).isWritten)
        try bench.execute("UPDATE idempotency_keys SET expires_at = now()")
        #expect(try standing() == nil)
        let second = row(body: 2)
        #expect(bench.writer.write(.pending(second)).isWritten)
        #expect(try standing(body: 2)?.answer == nil)
        let left = try bench.execute("SELECT expires_at - created_at > '23:59' FROM idempotency_keys")
        #expect(left.count == 1 && left.bool(0, 0))
    }

    @Test func `an answer stands with its charge, and is shown to the same body alone`() throws {
        let row = row()
        #expect(bench.writer.write(.pending(row)).isWritten)
        let body = "é\0\u{1}\r\n"
        #expect(bench.writer.write(.settlement(committed(row.trace, body: body))).isWritten)
        let found = try #require(try standing())
        #expect(found.answer?.body == Array(body.utf8) && found.answer?.contentType == "application/json")
        #expect(found.isSameBody && found.status == .committed && found.trace == row.trace)
        let other = try #require(try standing(body: 2))
        #expect(!other.isSameBody && other.answer == nil)
        // A repeated settlement, whatever it brings, leaves it as it is.
        #expect(bench.writer.write(.settlement(committed(row.trace, body: "other"))).isWritten)
        #expect(try standing()?.answer == found.answer)
    }

    @Test func `an answer whose row was voided before is not kept`() throws {
        let row = row()
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(bench.writer.write(.settlement(voided(row.trace))).isWritten)
        #expect(
            bench.writer.write(.settlement(committed(row.trace, body: "late"))).standing?.status == .voided)
        #expect(try bench.execute("SELECT 1 FROM idempotent_answers").count == 0)
    }

    @Test func `answers that are too large together are written in several database transactions`() throws {
        let rows = (0..<5).map { row("k\($0)") }
        #expect(bench.writer.write(rows.map { .pending($0) }).allSatisfy { $0.isWritten })
        let large = String(repeating: "x", count: 6 << 20)
        let before = bench.writer.batches.batches
        let outcomes = bench.writer.write(rows.map { .settlement(committed($0.trace, body: large)) })
        #expect(outcomes.allSatisfy { $0.isWritten })
        #expect(bench.writer.batches.batches == before + 3)
        #expect(try standing("k4")?.answer?.body?.count == large.utf8.count)
    }

    @Test func `expired keys and answers are removed, and no others`() throws {
        for key in ["old", "young"] {
            let row = row(key)
            #expect(bench.writer.write(.pending(row)).isWritten)
            #expect(bench.writer.write(.settlement(committed(row.trace, body: key))).isWritten)
        }
        #expect(try bench.ledger.prune(incarnationDays: 90).keys == 0)
        try bench.execute("UPDATE idempotency_keys SET expires_at = now() WHERE key = 'old'")
        try bench.execute(
            "UPDATE idempotent_answers SET created_at = now() - interval '24 hours' WHERE body = 'old'")
        #expect(try bench.ledger.prune(incarnationDays: 90).keys == 1)
        #expect(
            try bench.execute("SELECT convert_from(body, 'UTF8') FROM idempotent_answers").text(0, 0)
                == "young")
        #expect(try standing("young")?.answer != nil)
    }

    @Test func `the application cannot change an answer, nor the text of a key`() throws {
        let row = row()
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(try bench.refusal(asApplication: "UPDATE idempotent_answers SET body = 'x'") == "42501")
        #expect(try bench.refusal(asApplication: "UPDATE idempotency_keys SET key = 'x'") == "42501")
    }
}

extension LedgerWriter.Outcome {
    fileprivate var isKeyTaken: Bool {
        if case .keyTaken = self { true } else { false }
    }
}
