import Core
import Postgres
import TestSupport
import TestTools
import Testing

@testable import Ledger

@Suite struct SettleStatementTests {
    // MARK: - Inserting

    @Test func `inserting a row twice inserts it once and both are told that it stands`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let row = bench.pending(tenant)
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(bench.writer.write(.pending(row)).isWritten)
        #expect(try LedgerReader.totals(bench.app, of: tenant).pending == 1)
    }

    @Test func `rows inserted together each store everything that they say`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let other = try bench.makeTenant("other")
        _ = try bench.ledger.raiseEpoch(of: other, above: 0, sinceChange: 0)
        let first = PendingRow(
            tenant: tenant, trace: .fresh(), key: APIKeyID("key1"), epoch: 0, rseq: 2,
            period: Period(day: 20_250_614), hold: Money(nanodollars: 3), limitsVersion: 4,
            balanceBefore: Money(nanodollars: 5), balanceAfter: Money(nanodollars: 6),
            deadlineMilliseconds: 7_000, capability: "chat", model: "m", isStream: true)
        let second = PendingRow(
            tenant: other, trace: .fresh(), key: nil, epoch: 1, rseq: 12,
            period: Period(day: 20_250_701), hold: Money(nanodollars: 13), limitsVersion: 14,
            balanceBefore: Money(nanodollars: 15), balanceAfter: Money(nanodollars: -16),
            deadlineMilliseconds: 3_600_000, capability: "c", model: "n", isStream: false)
        #expect(bench.writer.write([.pending(first), .pending(second)]).allSatisfy { $0.isWritten })
        let rows = try bench.execute(
            """
            SELECT concat_ws(' ', tenant_id, trace_id, coalesce(api_key_id, '-'), epoch, rseq, day, month, hold,
                       limits_version, balance_before, balance_after, owner,
                       round(extract(epoch FROM deadline - created_at)), capability, model, is_stream)
              FROM billing_transactions ORDER BY rseq
            """)
        #expect(
            (0..<rows.count).map { rows.text($0, 0) } == [
                "acme \(first.trace) key1 0 2 20250614 202506 3 4 5 6 test 7 chat m t",
                "other \(second.trace) - 1 12 20250701 202507 13 14 15 -16 test 3600 c n f",
            ])
    }

    @Test func `a trace that stands for another process or another hold is told as such`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let other = bench.makeWriter(owner: "other").write(.pending(bench.pending(tenant, trace)))
        #expect(other.standing?.owner == "test")
        let again = bench.writer.write(.pending(bench.pending(tenant, trace, rseq: 2)))
        #expect(again.standing?.rseq == 1)
    }

    @Test func `one trace id may stand once for each tenant`() throws {
        let bench = try LedgerBench()
        let trace = TraceID.fresh()
        try bench.insert(try bench.makeTenant("a"), trace)
        try bench.insert(try bench.makeTenant("b"), trace)
    }

    @Test func `a trace whose request was voided cannot become pending`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = TraceID.fresh()
        try bench.ledger.insertTombstone(
            tenant: tenant, trace: trace, key: nil, epoch: 0, rseq: 1, period: Period(day: 20_250_614),
            hold: Money(nanodollars: 9))
        let outcome = bench.writer.write(.pending(bench.pending(tenant, trace)))
        #expect(outcome.standing?.status == .voided)
        #expect(try LedgerReader.totals(bench.app, of: tenant).held == .zero)
    }

    @Test func `a tombstone does not touch a row that came first`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        try bench.ledger.insertTombstone(
            tenant: tenant, trace: trace, key: nil, epoch: 0, rseq: 1, period: Period(day: 20_250_614),
            hold: Money(nanodollars: 9))
        #expect(try bench.row(tenant, trace)?.status == .pending)
    }

    // MARK: - Settling

    @Test func `a settlement stores everything that it says`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        var settlement = bench.committed(tenant, trace, charge: 400)
        settlement.priceVersion = 7
        settlement.usage = Usage(
            input: 1, cachedInput: 2, cacheWrite: 3, cacheWriteHour: 4, output: 5, reasoning: 6,
            audioInput: 7,
            audioOutput: 8)
        settlement.usageSource = .observed
        settlement.provider = "p"
        settlement.providerModelID = 11
        settlement.upstreamModel = "u"
        settlement.isError = true
        settlement.errorCode = "E"
        settlement.streamCompleted = true
        settlement.interruptedBy = "client"
        settlement.latencyMilliseconds = 99
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        let rows = try LedgerReader.transactions(
            bench.app, of: tenant, before: nil, status: .committed, countMax: 10)
        let row = try #require(rows.first)
        #expect(row.charge == Money(nanodollars: 400) && row.priceVersion == 7)
        #expect(row.usage == settlement.usage && row.usageSource == "observed")
        #expect(row.provider == "p" && row.upstreamModel == "u")
        #expect(row.isError && row.errorCode == "E" && row.streamCompleted && row.interruptedBy == "client")
        #expect(row.latencyMilliseconds == 99 && row.settledAt != nil && row.key == "key1")
    }

    @Test(arguments: [true, false])
    func `what a settlement does not say is stored as nothing, whatever its neighbours say`(
        _ hasNeighbour: Bool
    ) throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        var batch = [LedgerWriter.Write.settlement(bench.committed(tenant, trace, charge: 0))]
        if hasNeighbour {
            var other = bench.committed(tenant, try bench.insert(tenant), charge: 400)
            other.usage = Usage(
                cachedInput: 2, cacheWrite: 3, cacheWriteHour: 4, reasoning: 6, audioOutput: 8)
            other.isError = true
            other.errorCode = "E"
            other.streamCompleted = true
            other.interruptedBy = "client"
            batch.append(.settlement(other))
        }
        #expect(bench.writer.write(batch).allSatisfy { $0.isWritten })
        let rows = try LedgerReader.transactions(
            bench.app, of: tenant, before: nil, status: .committed, countMax: 10)
        let row = try #require(rows.first { $0.trace == trace.description })
        let said = bench.committed(tenant, trace, charge: 0)
        #expect(row.usage == said.usage && row.charge == .zero)
        #expect(!row.isError && row.errorCode == nil && !row.streamCompleted && row.interruptedBy == nil)
    }

    @Test func `a row is settled exactly once however many processes try`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let outcomes = try Concurrently.run(8) { index in
            bench.makeWriter(owner: "process-\(index)").write(
                .settlement(bench.committed(tenant, trace, charge: Int64(100 + index))))
        }
        #expect(outcomes.count { $0.isWritten } == 1)
        let winner = try #require(outcomes.firstIndex { $0.isWritten })
        let row = try #require(try bench.row(tenant, trace))
        #expect(row.status == .committed && row.charge == Money(nanodollars: Int64(100 + winner)))
        for outcome in outcomes where !outcome.isWritten { #expect(outcome.standing == row) }
    }

    @Test func `repeating a settlement is told as done and changes nothing`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let settlement = bench.committed(tenant, trace, charge: 400)
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        let before = try bench.owner.query(Self.wholeRow, [.text(trace.description)]).text(0, 0)
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        #expect(try bench.owner.query(Self.wholeRow, [.text(trace.description)]).text(0, 0) == before)
    }

    @Test func `a voided row cannot be committed and a committed one not voided`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let first = try bench.insert(tenant)
        let second = try bench.insert(tenant)
        let void = RowSettlement(tenant: tenant, trace: first, status: .voided)
        #expect(bench.writer.write(.settlement(void)).isWritten)
        let late = bench.writer.write(.settlement(bench.committed(tenant, first, charge: 1)))
        #expect(late.standing?.status == .voided)
        #expect(bench.writer.write(.settlement(bench.committed(tenant, second, charge: 1))).isWritten)
        let lateVoid = bench.writer.write(
            .settlement(RowSettlement(tenant: tenant, trace: second, status: .voided)))
        #expect(lateVoid.standing?.charge == Money(nanodollars: 1))
    }

    @Test func `settling a trace without a row is told as such and makes none`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = TraceID.fresh()
        #expect(bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 1))).isFenced)
        #expect(try bench.row(tenant, trace) == nil)
    }

    @Test func `more than was held is never charged`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 400)
        #expect(
            bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 401))).refusal == "23514")
        #expect(try bench.row(tenant, trace)?.status == .pending)
        #expect(bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 400))).isWritten)
    }

    @Test func `nothing is charged for what is voided, and never less than nothing`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        var void = RowSettlement(tenant: tenant, trace: trace, status: .voided)
        void.charge = Money(nanodollars: 1)
        #expect(bench.writer.write(.settlement(void)).refusal == "23514")
        #expect(
            bench.writer.write(.settlement(bench.committed(tenant, trace, charge: -1))).refusal == "23514")
        #expect(try bench.row(tenant, trace)?.status == .pending)
    }

    @Test func `what an answer cost beyond its hold is booked to the house once`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 400)
        var settlement = bench.committed(tenant, trace, charge: 400)
        settlement.overrun = Money(nanodollars: 55)
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        let entries = try bench.execute("SELECT kind, amount FROM house_entries")
        #expect(entries.count == 1 && entries.text(0, 0) == "overrun" && entries.int(0, 1) == 55)
    }

    @Test func `the checkpoint of a settled stream is removed with the same commit`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let checkpoint = StreamCheckpoint(
            tenant: tenant, trace: trace, providerModelID: 1, priceVersion: 1, inputTokens: 5,
            outputTokens: 6,
            source: .observed)
        try bench.ledger.writeCheckpoints([checkpoint])
        try bench.ledger.writeCheckpoints([checkpoint])
        #expect(try bench.execute("SELECT 1 FROM stream_checkpoints").count == 1)
        var settlement = bench.committed(tenant, trace, charge: 1)
        settlement.hasCheckpoint = true
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        #expect(try bench.execute("SELECT 1 FROM stream_checkpoints").count == 0)
    }

    // MARK: - Snapshot

    @Test func `a snapshot is the sum of credits, charges, holds and counts`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let other = try bench.makeTenant("other")
        _ = try bench.ledger.addCredit(
            Money(nanodollars: 9_000_000_000_000_000), to: tenant, kind: "t", externalID: "1")
        _ = try bench.ledger.addCredit(Money(nanodollars: 3), to: other, kind: "t", externalID: "1")
        let period = Period(day: 20_250_614)
        let traces = (0..<5).map { _ in TraceID.fresh() }
        for (index, day) in [20_250_614, 20_250_614, 20_250_613, 20_250_501, 20_250_614].enumerated() {
            let row = bench.pending(
                tenant, traces[index], rseq: Int64(index + 1), hold: 1_000, key: index == 4 ? nil : "key1",
                day: Int32(day))
            #expect(bench.writer.write(.pending(row)).isWritten)
        }
        try bench.insert(other, hold: 77)
        #expect(bench.writer.write(.settlement(bench.committed(tenant, traces[0], charge: 123))).isWritten)
        let void = RowSettlement(tenant: tenant, trace: traces[1], status: .voided)
        #expect(bench.writer.write(.settlement(void)).isWritten)

        let snapshot = try #require(try LedgerReader.snapshot(bench.app, of: tenant, in: period))
        #expect(snapshot.balance == Money(nanodollars: 9_000_000_000_000_000 - 123 - 3_000))
        #expect(snapshot.standing == TenantStanding(epoch: 0, creditSequence: 1, limitsVersion: 1))
        // Of the day: one committed, one pending; the voided one does not count. The month has yesterday's too.
        #expect(snapshot.dailyUsed == 2 && snapshot.monthlyUsed == 3)
        let holds = Dictionary(
            snapshot.holds.map { ($0.trace, $0.hold) }, uniquingKeysWith: { first, _ in first })
        #expect(holds.count == 3)
        #expect(holds[traces[2].description] == "1000|0|3|key1|20250613|202506|0|0")
        #expect(holds[traces[3].description] == "1000|0|4|key1|20250501|202505|0|0")
        #expect(holds[traces[4].description] == "1000|0|5||20250614|202506|0|0")
        let totals = try LedgerReader.totals(bench.app, of: tenant)
        #expect(totals.balance == snapshot.balance && totals.held == Money(nanodollars: 3_000))
        #expect(totals.committed == 1 && totals.voided == 1 && totals.pending == 3)
    }

    @Test func `a snapshot counts in the latest day that has requests, whatever day is asked for`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        for day in [20_250_630, 20_250_701, 20_250_701] {
            #expect(bench.writer.write(.pending(bench.pending(tenant, day: Int32(day)))).isWritten)
        }
        let behind = try #require(
            try LedgerReader.snapshot(bench.app, of: tenant, in: Period(day: 20_250_630)))
        #expect(behind.period == Period(day: 20_250_701))
        #expect(behind.dailyUsed == 2 && behind.monthlyUsed == 2)
        let ahead = try #require(
            try LedgerReader.snapshot(bench.app, of: tenant, in: Period(day: 20_250_702)))
        #expect(ahead.period == Period(day: 20_250_702))
        #expect(ahead.dailyUsed == 0 && ahead.monthlyUsed == 2)
    }

    private static let wholeRow = Statement(
        name: "whole_row", sql: "SELECT b::text FROM billing_transactions b WHERE trace_id = $1")
}
