import Core
import Glibc
import Postgres
import PrivateServers
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

@testable import Ledger

@Suite struct LedgerWriterTests {
    @Test func `five hundred writers at once each get the outcome of their own row`() throws {
        let bench = try LedgerBench()
        let tenants = try (0..<5).map { try bench.makeTenant("tenant-\($0)") }
        let stale = try bench.makeTenant("stale")
        _ = try bench.ledger.raiseEpoch(of: stale, above: 0, sinceChange: 0)
        let traces = (0..<500).map { _ in TraceID.fresh() }
        let outcomes = try Concurrently.run(500) { index in
            switch index % 10 {
            case 0: bench.writer.write(.pending(bench.pending(stale, traces[index])))
            case 1: bench.writer.write(.settlement(bench.committed(tenants[0], traces[index], charge: 1)))
            case 2: bench.writer.write(.pending(bench.pending(tenants[1], traces[index], hold: -1)))
            default: bench.writer.write(.pending(bench.pending(tenants[index % 5], traces[index])))
            }
        }
        for (index, outcome) in outcomes.enumerated() {
            switch index % 10 {
            case 0, 1: #expect(outcome.isFenced, "\(index): \(outcome)")
            case 2: #expect(outcome.refusal == "23514", "\(index): \(outcome)")
            default: #expect(outcome.isWritten, "\(index): \(outcome)")
            }
        }
        let rows = try bench.execute("SELECT trace_id FROM billing_transactions")
        let written = Set((0..<rows.count).map { rows.text($0, 0) })
        #expect(written == Set(traces.indices.filter { $0 % 10 > 2 }.map { traces[$0].description }))
    }

    @Test func `writers at once share commits`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        try bench.insert(tenant)
        let before = try commits(bench)
        try Concurrently.run(100) { _ in
            for _ in 0..<5 { _ = try bench.insert(tenant) }
        }
        let used = try commits(bench) - before
        #expect(try LedgerReader.totals(bench.app, of: tenant).pending == 501)
        #expect(used < 250, "500 rows took \(used) commits")
    }

    /// What a row has that PostgreSQL, or the connection, does not take.
    enum Defect: CaseIterable {
        case negativeHold, traceWithoutPartition, zeroByteInText
    }

    @Test(arguments: Defect.allCases)
    func `a bad row fails alone and all rows beside it are written`(defect: Defect) throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let ancient = TraceID(unixMilliseconds: 0, random: (1, 1))
        let bad =
            switch defect {
            case .negativeHold: bench.pending(tenant, hold: -1)
            case .traceWithoutPartition: bench.pending(tenant, ancient)
            case .zeroByteInText: bench.pending(tenant, model: "a\0b")
            }
        // One batch, put together by hand: with threads some of them might miss it.
        let batch = LedgerBatch(database: bench.writing, owner: "test", attemptsMax: 3)
        var rows = (0..<40).map { _ in bench.pending(tenant) }
        rows.insert(bad, at: 17)
        let settled = try bench.insert(tenant)
        let outcomes = batch.run(
            rows.map { .pending($0) } + [.settlement(bench.committed(tenant, settled, charge: 5))])
        for (index, outcome) in outcomes.enumerated() {
            if index == 17 {
                #expect(outcome.refusal != nil, "\(outcome)")
            } else {
                #expect(outcome.isWritten, "\(index): \(outcome)")
            }
        }
        let totals = try LedgerReader.totals(bench.app, of: tenant)
        #expect(totals.pending == 40 && totals.committed == 1)
    }

    @Test func `one tenant whose rows wait for a lock does not hold up everybody for long`() throws {
        let bench = try LedgerBench()
        let stuck = try bench.makeTenant("stuck")
        let tenant = try bench.makeTenant()
        var configuration = PostgresConfiguration.patient(
            try TestDatabase.applicationString(bench.database), LedgerBench.writerName)
        configuration.statementTimeoutMilliseconds = 500
        configuration.sessionSettings = LedgerWriter.sessionSettings
        let batch = LedgerBatch(
            database: PostgresPool(configuration), owner: "test", attemptsMax: 3, divideMilliseconds: 2_000)
        let locking = try bench.owner.begin()
        try locking.execute(sql: "SELECT 1 FROM tenant_epoch WHERE tenant_id = 'stuck' FOR UPDATE")
        let rows = (0..<256).map { bench.pending($0.isMultiple(of: 2) ? stuck : tenant) }
        let began = Deadline.now
        let outcomes = batch.run(rows.map { .pending($0) })
        // 255 statements of half a second, were every half of the batch tried to its end.
        #expect(began.elapsedNanoseconds < 20_000_000_000)
        #expect(outcomes.count == 256)
        for (row, outcome) in zip(rows, outcomes) where row.tenant == stuck {
            #expect(outcome.refusal == "57014", "\(outcome)")
        }
        locking.rollBack()
    }

    @Test func `a row that was committed is never told as not written, though the question after it fails`()
        throws
    {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let taken = try bench.insert(tenant)
        let trace = TraceID.fresh()
        // Enough to insert, not enough to read what stands under a trace that is taken.
        try bench.execute("REVOKE SELECT ON billing_transactions FROM tollgate_app")
        try bench.execute("GRANT SELECT (trace_id) ON billing_transactions TO tollgate_app")
        let batch = LedgerBatch(database: bench.writing, owner: "test", attemptsMax: 3)
        let outcomes = batch.run([
            .pending(bench.pending(tenant, trace)), .pending(bench.pending(tenant, taken, rseq: 2)),
        ])
        let stands = try bench.execute(
            "SELECT count(*) FROM billing_transactions WHERE trace_id = '\(trace)'")
        #expect(stands.int(0, 0) == 1)
        for outcome in outcomes {
            guard case .unknown = outcome else {
                Issue.record("\(outcome)")
                continue
            }
        }
    }

    // MARK: - Lost connections

    @Test func `a connection cut at any moment leaves no row that its writer does not know of`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let isOver = Atomic(false)
        let cuts = Atomic<Int>(0)
        let terminate = Statement(
            name: "terminate",
            sql: """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = $1
                """)
        let cutter = try WorkerThread(name: "cutter") {
            while !isOver.load(ordering: .relaxed) {
                usleep(40_000)
                let count =
                    (try? bench.owner.query(terminate, [.text(LedgerBench.writerName)]).int(0, 0)) ?? 0
                cuts.add(Int(count), ordering: .relaxed)
            }
        }
        let attempts = try Concurrently.run(32) { _ in
            (0..<60).map { _ -> (TraceID, LedgerWriter.Outcome, LedgerWriter.Outcome?) in
                let trace = TraceID.fresh()
                let inserted = bench.writer.write(.pending(bench.pending(tenant, trace)))
                guard inserted.isWritten else { return (trace, inserted, nil) }
                return (
                    trace, inserted,
                    bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 9)))
                )
            }
        }.flatMap { $0 }
        isOver.store(true, ordering: .relaxed)
        cutter.join()
        #expect(cuts.load(ordering: .relaxed) >= 3, "hardly any connection was cut")
        for (trace, inserted, settled) in attempts {
            let row = try bench.row(tenant, trace)
            switch (inserted, settled) {
            case (.written, .written):
                #expect(row?.charge == Money(nanodollars: 9) && row?.status == .committed)
            case (.written, .failed): #expect(row?.status == .pending)
            case (.written, .unknown): #expect(row != nil)
            case (.failed, nil): #expect(row == nil, "told that nothing was written")
            case (.unknown, nil): break
            default: Issue.record("\(trace): \(inserted), \(String(describing: settled))")
            }
        }
        let sure = attempts.count { if case .written? = $0.2 { true } else { false } }
        #expect(sure > attempts.count / 10, "only \(sure) of \(attempts.count) got through")
    }

    @Test func `a commit whose answer is lost is found again by repeating it`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try PrivateLedger(server)
        let row = bench.row()
        // COMMIT waits for a standby that is not there, after it has become durable.
        try bench.server.waitForStandby(true)
        let outcome = Locked<LedgerWriter.Outcome?>(nil)
        let thread = try WorkerThread(name: "writer") {
            let result = bench.writer.write(.pending(row))
            outcome.withLock { $0 = result }
        }
        let isCommitting = try Eventually.holds {
            try server.run(sql: "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1\n"
        }
        #expect(isCommitting)
        _ = try server.run(
            sql: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        // The repetition waits for the same standby, and need not any longer.
        try bench.server.waitForStandby(false)
        thread.join()
        #expect(outcome.withLock { $0?.isWritten } == true)
        #expect(try server.run(sql: "SELECT count(*) FROM billing_transactions", database: "ledger") == "1\n")
    }

    @Test func `with PostgreSQL gone nothing is written, and that is known`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try PrivateLedger(server)
        #expect(bench.writer.write(.pending(bench.row())).isWritten)
        server.stop(isImmediate: true)
        guard case .failed = bench.writer.write(.pending(bench.row())) else {
            Issue.record("nothing can have been written")
            return
        }
        try server.start()
        let isBack = Eventually.holds { bench.writer.write(.pending(bench.row())).isWritten }
        #expect(isBack)
        #expect(try server.run(sql: "SELECT count(*) FROM billing_transactions", database: "ledger") == "2\n")
    }

    /// How many database transactions of the writer have committed.
    private func commits(_ bench: LedgerBench) throws -> Int {
        // A row's `xmin` is the database transaction that inserted it.
        Int(try bench.execute("SELECT count(DISTINCT xmin::text) FROM billing_transactions").int(0, 0))
    }
}
