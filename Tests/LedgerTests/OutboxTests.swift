import Core
import Postgres
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

@testable import Ledger

@Suite struct OutboxTests {
    /// The end of a row that brings tasks with these keys.
    private func settlement(
        _ bench: LedgerBench, _ tenant: TenantID, _ trace: TraceID, keys: [String], charge: Int64 = 5
    ) -> RowSettlement {
        var settlement = bench.committed(tenant, trace, charge: charge)
        for key in keys {
            settlement.afterCommit(
                AfterCommitTask(kind: .webhook, key: key, tenant: tenant, payload: "{}"))
        }
        return settlement
    }

    private func keys(_ bench: LedgerBench) throws -> [String] {
        let rows = try bench.execute("SELECT task_key FROM outbox ORDER BY id")
        return (0..<rows.count).map { rows.text($0, 0) }
    }

    /// Claims all, for a minute.
    private func claim(_ store: OutboxStore) throws -> [OutboxTask] {
        try store.claim(countMax: 100, forSeconds: 60)
    }

    private func makeAllDue(_ bench: LedgerBench) throws {
        try bench.execute("UPDATE outbox SET due_at = now() WHERE due_at IS NOT NULL")
    }

    // MARK: - Written by the commit

    @Test func `4.1 tasks are there once their row's end is committed, and not before`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let locking = try bench.owner.begin()
        try locking.execute(sql: "SELECT 1 FROM billing_transactions FOR UPDATE")
        let write = LedgerWriter.Write.settlement(settlement(bench, tenant, trace, keys: ["a", "b"]))
        let thread = try Concurrently.begin(1) { _ in bench.writer.write(write).isWritten }
        let isWaiting = try Eventually.holds {
            try bench.execute(
                """
                SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            ).int(0, 0) == 1
        }
        #expect(isWaiting)
        #expect(try keys(bench).isEmpty)
        locking.rollBack()
        #expect(try thread.wait() == [true])
        #expect(try keys(bench) == ["a", "b"])
    }

    @Test func `4.2 a batch that is refused takes its tasks along`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let good = try bench.insert(tenant)
        let bad = try bench.insert(tenant)
        let batch = LedgerBatch(database: bench.writing, owner: "test", attemptsMax: 3)
        let outcomes = batch.run([
            .settlement(settlement(bench, tenant, bad, keys: ["bad"], charge: 9_999)),
            .settlement(settlement(bench, tenant, good, keys: ["good"])),
        ])
        #expect(outcomes[0].refusal != nil && outcomes[1].isWritten)
        #expect(try keys(bench) == ["good"])
    }

    @Test func `a row that another has ended brings no tasks`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let voided = RowSettlement(tenant: tenant, trace: trace, status: .voided)
        #expect(bench.writer.write(.settlement(voided)).isWritten)
        _ = bench.writer.write(.settlement(settlement(bench, tenant, trace, keys: ["late"])))
        #expect(try keys(bench).isEmpty)
    }

    @Test func `a settlement that is repeated brings its tasks once, although they were done meanwhile`()
        throws
    {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let trace = try bench.insert(tenant)
        let settlement = settlement(bench, tenant, trace, keys: ["once"])
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        let store = OutboxStore(database: bench.app)
        try store.end(done: try claim(store))
        #expect(bench.writer.write(.settlement(settlement)).isWritten)
        #expect(try keys(bench).isEmpty)
    }

    @Test func `two rows of a batch, or of two, that bring the same task bring it once`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let traces = try (0..<4).map { _ in try bench.insert(tenant) }
        let writes = traces.map { LedgerWriter.Write.settlement(settlement(bench, tenant, $0, keys: ["k"])) }
        #expect(bench.writer.write(Array(writes[..<2])).allSatisfy { $0.isWritten })
        #expect(bench.writer.write(Array(writes[2...])).allSatisfy { $0.isWritten })
        #expect(try keys(bench) == ["k"])
    }

    @Test func `batches that bring the same tasks in other orders do not wait for each other for ever`()
        throws
    {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let names = (0..<20).map { "key-\($0)" }
        let traces = try (0..<40).map { _ in try bench.insert(tenant) }
        let outcomes = try Concurrently.run(8) { index in
            let writer = bench.makeWriter(owner: "writer-\(index)")
            return writer.write(
                traces[(index * 5)..<(index * 5 + 5)].map { trace in
                    .settlement(settlement(bench, tenant, trace, keys: names.shuffled()))
                })
        }.flatMap { $0 }
        #expect(outcomes.allSatisfy { $0.isWritten }, "\(outcomes)")
        #expect(try keys(bench).sorted() == names.sorted())
    }

    @Test func `only a batch with tasks calls whoever does them, and costs a statement`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let calls = Locked(0)
        let writer = LedgerWriter(database: bench.writing, owner: "test") { calls.withLock { $0 += 1 } }
        let traces = try (0..<2).map { _ in try bench.insert(tenant) }
        #expect(writer.write(.settlement(bench.committed(tenant, traces[0], charge: 1))).isWritten)
        #expect(calls.withLock { $0 } == 0)
        let prepared = Statement(
            name: "prepared",
            sql: "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE '%settled_tasks%'")
        #expect(try bench.writing.query(prepared).int(0, 0) == 0)
        #expect(writer.write(.settlement(settlement(bench, tenant, traces[1], keys: ["a"]))).isWritten)
        #expect(calls.withLock { $0 } == 1)
    }

    @Test func `a credit is added together with the task of telling its image, or not at all`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let amount = Money(nanodollars: 7)
        #expect(
            try bench.ledger.addCredit(amount, to: tenant, kind: "t", externalID: "1") == .added(sequence: 1))
        _ = try bench.ledger.addCredit(amount, to: tenant, kind: "t", externalID: "1")
        #expect(try keys(bench) == ["acme:1"])
        try bench.execute("REVOKE INSERT ON outbox FROM tollgate_app")
        #expect(throws: PostgresError.self) {
            try bench.ledger.addCredit(amount, to: tenant, kind: "t", externalID: "2")
        }
        #expect(try LedgerReader.standing(bench.app, of: tenant)?.creditSequence == 1)
    }

    // MARK: - Claimed

    @Test func `what one has claimed nobody else gets, until its time is over`() throws {
        let bench = try LedgerBench()
        let store = OutboxStore(database: bench.app)
        let tasks = (0..<100).map {
            AfterCommitTask(kind: .webhook, key: "\($0)", tenant: nil, payload: "{}")
        }
        #expect(try store.write(tasks) == 100)
        #expect(try store.write(tasks) == 0)
        let claimed = try Concurrently.run(8) { _ in
            try (0..<5).flatMap { _ in try store.claim(countMax: 7, forSeconds: 60) }
        }.flatMap { $0 }
        #expect(claimed.map(\.task.key).sorted() == tasks.map(\.key).sorted())
        #expect(claimed.allSatisfy { $0.attempts == 1 })
        try makeAllDue(bench)
        #expect(try claim(store).allSatisfy { $0.attempts == 2 })
    }

    @Test func `one tenant's tasks can be claimed alone`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let store = OutboxStore(database: bench.app)
        try store.write([
            AfterCommitTask(kind: .webhook, key: "its", tenant: tenant, payload: "{}"),
            AfterCommitTask(kind: .webhook, key: "other", tenant: nil, payload: "{}"),
        ])
        let claimed = try store.claim(countMax: 10, forSeconds: 60, of: tenant)
        #expect(claimed.map(\.task.key) == ["its"] && claimed[0].timeZone == "UTC")
    }

    @Test func `a task is put back by whoever claimed it last, and an untried one has lost no attempt`()
        throws
    {
        let bench = try LedgerBench()
        let store = OutboxStore(database: bench.app)
        try store.write([AfterCommitTask(kind: .webhook, key: "k", tenant: nil, payload: "{}")])
        let first = try claim(store)
        try makeAllDue(bench)
        let second = try claim(store)
        try store.end(done: [], putBack: [PutBackTask(first[0], delaySeconds: 0, error: "late")])
        #expect(try claim(store).isEmpty, "it is another's now")
        try store.end(done: [], putBack: [PutBackTask(second[0], delaySeconds: 0, error: nil)])
        #expect(try claim(store).map(\.attempts) == [2])
    }

    @Test func `what is given up stays with its reason until it is revived`() throws {
        let bench = try LedgerBench()
        let store = OutboxStore(database: bench.app)
        try store.write([AfterCommitTask(kind: .webhook, key: "k", tenant: nil, payload: "{}")])
        try store.end(
            done: [], putBack: [PutBackTask(try claim(store)[0], delaySeconds: nil, error: "nobody there")])
        #expect(try store.figures().dead == 1 && store.figures().open == 0)
        #expect(try bench.execute("SELECT last_error FROM outbox").text(0, 0) == "nobody there")
        #expect(try claim(store).isEmpty)
        #expect(try store.revive() == 1)
        #expect(try claim(store).map(\.attempts) == [1])
        #expect(try store.figures().dead == 0)
    }

    @Test func `what must not be done again is kept, and forgotten when its time has long ended`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let store = OutboxStore(database: bench.app)
        let tasks = ["20250101", "total"].map {
            AfterCommitTask(kind: .budgetWarning, key: "acme:k:\($0)", tenant: tenant, payload: "{}")
        }
        try store.write(tasks)
        try store.end(done: try claim(store))
        #expect(try store.write(tasks) == 0)
        #expect(try store.figures().open == 0)
        #expect(try bench.ledger.prune(incarnationDays: 90).warnings == 0)
        try bench.execute("UPDATE outbox SET done_at = now() - interval '70 days'")
        #expect(try bench.ledger.prune(incarnationDays: 90).warnings == 1)
        #expect(try keys(bench) == ["acme:k:total"])
    }

    @Test(arguments: [
        "kind = 'x'", "task_key = 'x'", "tenant_id = 'x'", "payload = 'x'", "created_at = now()",
    ])
    func `the application cannot change what a task is about`(change: String) throws {
        let bench = try LedgerBench()
        #expect(try bench.refusal(asApplication: "UPDATE outbox SET \(change)") == "42501")
    }
}
