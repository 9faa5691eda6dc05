import Core
import Postgres
import TestSupport
import TestTools
import Testing
import Threads

@testable import Ledger

@Suite struct FenceTests {
    @Test func `a hold of the current epoch becomes a pending row`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = TraceID.fresh()
        #expect(bench.writer.write(.pending(bench.pending(tenant, trace, rseq: 3, hold: 70))).isWritten)
        let row = try #require(try bench.row(tenant, trace))
        #expect(row.status == .pending && row.epoch == 0 && row.rseq == 3)
        #expect(row.hold == Money(nanodollars: 70) && row.charge == .zero && row.owner == "test")
    }

    @Test(arguments: [1, 3])
    func `a hold of an earlier or a later epoch is fenced off`(epoch: Int64) throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        #expect(try bench.ledger.raiseEpoch(of: tenant, above: 1, sinceChange: 0) == 2)
        let trace = TraceID.fresh()
        #expect(bench.writer.write(.pending(bench.pending(tenant, trace, epoch: epoch))).isFenced)
        #expect(try bench.row(tenant, trace) == nil)
        #expect(bench.writer.write(.pending(bench.pending(tenant, trace, epoch: 2))).isWritten)
    }

    @Test func `a tenant that the ledger does not know is fenced off`() throws {
        let bench = try LedgerBench()
        let stranger = try #require(TenantID("stranger"))
        #expect(bench.writer.write(.pending(bench.pending(stranger))).isFenced)
        #expect(try bench.ledger.raiseEpoch(of: stranger, above: 0, sinceChange: 0) == nil)
    }

    @Test func `an epoch rises above the ledger's own and above the image's`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        #expect(try bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0) == 1)
        #expect(try bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0) == 2)
        #expect(try bench.ledger.raiseEpoch(of: tenant, above: 10, sinceChange: 0) == 11)
        #expect(try LedgerReader.standing(bench.app, of: tenant)?.epoch == 11)
    }

    @Test func `raising an epoch waits for rows that are being accepted, and its snapshot counts them`()
        throws
    {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = TraceID.fresh()
        let accepting = try bench.app.begin()
        let row = bench.pending(tenant, trace, hold: 70)
        #expect(
            try accepting.query(LedgerStatements.insertPending, [row].values(owner: "test")).affectedRows == 1
        )

        let raised = Locked<Int64?>(nil)
        let raiser = try WorkerThread(name: "raiser") {
            let epoch = try? bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0)
            raised.withLock { $0 = epoch ?? -1 }
        }
        #expect(try somebodyWaits(bench), "the raise did not wait for the row")
        #expect(raised.withLock { $0 } == nil)
        try accepting.commit()
        raiser.join()
        #expect(raised.withLock { $0 } == 1)
        let snapshot = try #require(
            try LedgerReader.snapshot(bench.app, of: tenant, in: Period(day: 20_250_614)))
        #expect(snapshot.balance == Money(nanodollars: -70))
        #expect(snapshot.holds.map(\.trace) == [trace.description])
    }

    @Test func `a row that waited for a raised epoch is fenced off`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let raising = try bench.app.begin()
        _ = try raising.query(LedgerStatements.raiseEpoch, [.text(tenant.description), .int(0), .int(0)])

        let trace = TraceID.fresh()
        let outcome = Locked<LedgerWriter.Outcome?>(nil)
        let inserter = try WorkerThread(name: "inserter") {
            let result = bench.writer.write(.pending(bench.pending(tenant, trace)))
            outcome.withLock { $0 = result }
        }
        #expect(try somebodyWaits(bench), "the row did not wait for the raise")
        try raising.commit()
        inserter.join()
        #expect(outcome.withLock { $0?.isFenced } == true)
        #expect(try bench.row(tenant, trace) == nil)
    }

    @Test func `rows of one tenant do not wait for each other`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let accepting = try bench.app.begin()
        let row = bench.pending(tenant)
        _ = try accepting.query(LedgerStatements.insertPending, [row].values(owner: "test"))
        #expect(bench.writer.write(.pending(bench.pending(tenant))).isWritten)
        try accepting.commit()
    }

    /// Whether a statement comes to wait for a lock.
    private func somebodyWaits(_ bench: LedgerBench) throws -> Bool {
        let waiting = Statement(
            name: "waiting",
            sql: """
                SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                """)
        return try Eventually.holds { try bench.owner.query(waiting).int(0, 0) > 0 }
    }
}
