import Core
import Postgres
import TestSupport
import TestTools
import Testing
import Threads

@testable import Ledger

@Suite struct RaiseTests {
    private func raise(
        _ tenant: TenantID, _ trace: TraceID, epoch: Int64 = 0, to amount: Int64
    ) -> LedgerWriter.Write {
        .raise(
            HoldRaise(tenant: tenant, trace: trace, epoch: epoch, amount: Money(nanodollars: amount)))
    }

    @Test func `a pending row is raised, and repeating it or asking for less changes nothing`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 100)
        for amount in [Int64(250), 250, 80] {
            #expect(bench.writer.write(raise(tenant, trace, to: amount)).isWritten)
            #expect(try bench.row(tenant, trace)?.hold == Money(nanodollars: 250))
        }
    }

    @Test(arguments: [Int64(1), 3])
    func `money that an image of another epoch took raises nothing`(epoch: Int64) throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 100)
        #expect(try bench.ledger.raiseEpoch(of: tenant, above: 1, sinceChange: 0) == 2)
        let outcome = bench.writer.write(raise(tenant, trace, epoch: epoch, to: 250))
        #expect(outcome.standing?.status == .pending && outcome.standing?.hold == Money(nanodollars: 100))
        #expect(bench.writer.write(raise(tenant, trace, epoch: 2, to: 250)).isWritten)
        #expect(try bench.row(tenant, trace)?.hold == Money(nanodollars: 250))
    }

    @Test func `a row that has ended is not raised`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 100)
        #expect(bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 30))).isWritten)
        #expect(bench.writer.write(raise(tenant, trace, to: 250)).standing?.status == .committed)
        #expect(try bench.row(tenant, trace)?.hold == Money(nanodollars: 100))
    }

    @Test func `a trace without a row raises nothing`() throws {
        let bench = try LedgerBench()
        #expect(bench.writer.write(raise(try bench.makeTenant(), .fresh(), to: 250)).isFenced)
    }

    @Test func `rows are raised, inserted and ended in one commit, each for itself`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let raised = try bench.insert(tenant, hold: 100)
        let ended = try bench.insert(tenant, hold: 100)
        let stale = try bench.insert(tenant, hold: 100)
        let outcomes = bench.writer.write([
            raise(tenant, raised, to: 200), .pending(bench.pending(tenant)),
            .settlement(bench.committed(tenant, ended, charge: 100)), raise(tenant, stale, epoch: 9, to: 200),
        ])
        #expect(outcomes.map(\.isWritten) == [true, true, true, false])
        #expect(try bench.row(tenant, raised)?.hold == Money(nanodollars: 200))
        #expect(try bench.row(tenant, stale)?.hold == Money(nanodollars: 100))
    }

    @Test func `raising an epoch waits for rows that are being raised, and its snapshot has them`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 100)
        let raising = try bench.app.begin()
        let raise = HoldRaise(tenant: tenant, trace: trace, epoch: 0, amount: Money(nanodollars: 250))
        #expect(try raising.query(LedgerStatements.raiseHolds, [raise].values).affectedRows == 1)
        let epoch = Locked<Int64?>(nil)
        let raiser = try WorkerThread(name: "raiser") {
            let raised = try? bench.ledger.raiseEpoch(of: tenant, above: 0, sinceChange: 0)
            epoch.withLock { $0 = raised ?? -1 }
        }
        let waits = try Eventually.holds {
            try bench.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").int(
                0, 0) > 0
        }
        #expect(waits && epoch.withLock { $0 } == nil)
        try raising.commit()
        raiser.join()
        #expect(epoch.withLock { $0 } == 1)
        let snapshot = try #require(
            try LedgerReader.snapshot(bench.app, of: tenant, in: Period(day: 20_250_614)))
        #expect(snapshot.balance == Money(nanodollars: -250))
        #expect(snapshot.holds.first?.hold.hasPrefix("250|") == true)
    }

    @Test func `a raise that waited for a raised epoch is fenced off`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant, hold: 100)
        let rebuilding = try bench.app.begin()
        _ = try rebuilding.query(LedgerStatements.raiseEpoch, [.text(tenant.description), .int(0), .int(0)])
        let isRaised = Locked<Bool?>(nil)
        let raiser = try WorkerThread(name: "raiser") {
            let outcome = bench.writer.write(self.raise(tenant, trace, to: 250))
            isRaised.withLock { $0 = outcome.isWritten }
        }
        let waits = try Eventually.holds {
            try bench.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").int(
                0, 0) > 0
        }
        #expect(waits)
        try rebuilding.commit()
        raiser.join()
        #expect(isRaised.withLock { $0 } == false)
        #expect(try bench.row(tenant, trace)?.hold == Money(nanodollars: 100))
    }
}
