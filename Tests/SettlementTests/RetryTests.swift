import Core
import Glibc
import Jobs
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct RetryTests {
    // MARK: - Redis

    @Test func `a charge whose Redis is stopped is durable at once and reaches Redis later`() throws {
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 300
        let bench = try SettlementBench(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        let other = try bench.reserve(tenant, 300)
        bench.server.server.process?.send(SIGSTOP)
        defer { bench.server.server.process?.send(SIGCONT) }
        let settled = try bench.settle(hold, charge: 120)
        #expect(settled.charge == Money(nanodollars: 120) && settled.balance == nil)
        bench.void(other)
        #expect(try bench.row(hold)?.status == .committed)
        #expect(try bench.row(other)?.status == .voided)
        #expect(bench.retries.count == 2)
        bench.server.server.process?.send(SIGCONT)
        #expect(bench.retries.drain(until: .after(seconds: 30)))
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 880))
    }

    @Test func `with Redis stopped nothing is reserved, and nothing is left behind`() throws {
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 300
        let bench = try SettlementBench(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        bench.server.server.process?.send(SIGSTOP)
        defer { bench.server.server.process?.send(SIGCONT) }
        let began = Deadline.now
        let outcomes = try bench.outcomes(of: 20, tenant, 10)
        #expect(outcomes.allSatisfy { $0 == "unavailable" }, "\(outcomes)")
        #expect(began.elapsedNanoseconds < 10_000_000_000)
        bench.server.server.process?.send(SIGCONT)
        let isBack = Eventually.holds { (try? bench.reserve(tenant, 10)) != nil }
        #expect(isBack)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.held == Money(nanodollars: 10))
    }

    // MARK: - PostgreSQL

    @Test func `a charge whose PostgreSQL is gone waits until it is back`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(postgres: postgres)
        let tenant = try bench.makeTenant(balance: 1_000)
        let delivered = try bench.reserve(tenant, 300)
        let refused = try bench.reserve(tenant, 300)
        let voided = try bench.reserve(tenant, 300)
        postgres.stop(isImmediate: true)
        #expect { try bench.settle(delivered, charge: 120) } throws: { error in
            if case SettlementError.notDurable = error { true } else { false }
        }
        // Its client was told of the failure: it must not be charged.
        #expect(throws: SettlementError.self) {
            try bench.engine.settle(refused, bench.committed(refused, 50), otherwise: bench.voided(refused))
        }
        bench.void(voided)
        #expect(bench.retries.count == 3)
        #expect(bench.retries.isLedgerFailing)
        #expect(throws: SettlementError.self, "nothing is reserved while commits fail") {
            try bench.reserve(tenant, 10)
        }
        try postgres.start()
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.charged == Money(nanodollars: 120))
        #expect(books.ledger.committed == 1 && books.ledger.voided == 2 && books.ledger.pending == 0)
        let isBack = Eventually.holds { (try? bench.reserve(tenant, 10)) != nil }
        #expect(isBack)
    }

    @Test(arguments: [false, true])
    func `a charge that got through although its client was told otherwise is refunded`(isRedisStopped: Bool)
        throws
    {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 500
        let bench = try SettlementBench(options, postgres: postgres)
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        defer { bench.server.server.process?.send(SIGCONT) }
        try stopDuringCommit(postgres) {
            #expect {
                try bench.engine.settle(hold, bench.committed(hold, 50), otherwise: bench.voided(hold))
            } throws: {
                if case SettlementError.notDurable = $0 { true } else { false }
            }
            if isRedisStopped { bench.server.server.process?.send(SIGSTOP) }
        }
        if isRedisStopped {
            let isCredited = try Eventually.holds {
                try bench.execute("SELECT count(*) FROM credits").int(0, 0) == 2
            }
            #expect(isCredited)
            usleep(600_000)
            bench.server.server.process?.send(SIGCONT)
        }
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        // With Redis stopped the refund is left to its task.
        #expect(try bench.runOutbox().done == (isRedisStopped ? 1 : 0))
        #expect(
            try bench.row(hold)?.charge == Money(nanodollars: 50),
            "the commit was lost, and this proves nothing")
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.credited == Money(nanodollars: 1_050))
        #expect(books.ledger.balance == Money(nanodollars: 1_000))
        let refund = try bench.execute("SELECT kind, external_id FROM credits WHERE seq = 2")
        try #require(refund.count == 1)
        #expect(refund.text(0, 0) == "refund" && refund.text(0, 1) == "refund:\(hold.trace)")
    }

    @Test func `a refund reaches an image that lacks an earlier credit`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(postgres: postgres)
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        _ = try bench.ledger.addCredit(Money(nanodollars: 20), to: tenant, kind: "t", externalID: "untold")
        try stopDuringCommit(postgres) {
            #expect(throws: SettlementError.self) {
                try bench.engine.settle(hold, bench.committed(hold, 50), otherwise: bench.voided(hold))
            }
        }
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        let books = try bench.expectExactBooks(tenant)
        #expect(
            books.ledger.credited == Money(nanodollars: 1_070), "the commit was lost, and this proves nothing"
        )
        #expect(books.image?.balance == Money(nanodollars: 1_020))
    }

    @Test func `a reservation that got through although it was refused is given back`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(postgres: postgres)
        let tenant = try bench.makeTenant(balance: 1_000)
        let trace = TraceID.fresh()
        try stopDuringCommit(postgres) {
            #expect { try bench.reserve(tenant, 300, trace: trace) } throws: {
                if case SettlementError.unavailable = $0 { true } else { false }
            }
        }
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        let row = try LedgerReader.rows(bench.database, [(tenant, trace)])[trace]
        #expect(row?.owner == "bench", "the commit was lost, and this proves nothing")
        #expect(row?.status == .voided, "its owner lives, so nobody else would ever end it")
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_000))
    }

    @Test func `a reservation of which nothing is known can never get through later`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let trace = TraceID.fresh()
        let isOver = Atomic(false)
        let locking = try bench.owner.begin()
        try locking.execute(sql: "SELECT 1 FROM tenant_epoch FOR UPDATE")
        // Every try of the insert waits for the lock and loses its connection there.
        let cutter = try WorkerThread(name: "cutter") {
            let sql = """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = '\(SettlementBench.writerName)'
                   AND wait_event_type = 'Lock'
                """
            while !isOver.load(ordering: .relaxed) {
                _ = try? bench.execute(sql)
                usleep(5_000)
            }
        }
        #expect { try bench.reserve(tenant, 300, trace: trace) } throws: {
            if case SettlementError.unavailable = $0 { true } else { false }
        }
        isOver.store(true, ordering: .relaxed)
        cutter.join()
        locking.rollBack()
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        #expect(try LedgerReader.rows(bench.database, [(tenant, trace)])[trace]?.status == .voided)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
    }

    @Test func `a tenant whose ledger refuses the row gets its hold back at once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        // No partition is that old.
        let ancient = TraceID(unixMilliseconds: 1_000, random: (1, 1))
        #expect(throws: SettlementError.self) { try bench.reserve(tenant, 300, trace: ancient) }
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
    }

    @Test func `PostgreSQL killed under load costs refusals and no money`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(postgres: postgres)
        let tenants = try (0..<3).map { try bench.makeTenant("tenant-\($0)", balance: 1_000_000) }
        let isOver = Atomic(false)
        let load = try Concurrently.begin(24) { index in
            var ends: [(hold: Hold, charge: Int64?)] = []
            while !isOver.load(ordering: .relaxed) {
                do throws(SettlementError) {
                    let hold = try bench.engine.reserve(bench.order(tenants[index % 3], 100))
                    let charge: Int64? = ends.count % 5 == 0 ? nil : 70
                    // What is not durable at once is queued, and is durable in the end.
                    ends.append((hold, charge))
                    guard let charge else {
                        bench.void(hold)
                        continue
                    }
                    let settlement = bench.committed(hold, charge)
                    _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
                } catch {
                    usleep(2_000)
                }
            }
            return ends
        }
        for _ in 0..<2 {
            usleep(300_000)
            postgres.stop(isImmediate: true)
            usleep(200_000)
            try postgres.start()
        }
        let isBack = Eventually.holds { (try? bench.reserve(tenants[0], 0)) != nil }
        #expect(isBack)
        usleep(300_000)
        isOver.store(true, ordering: .relaxed)
        let ends = try load.wait().flatMap { $0 }
        #expect(bench.retries.drain(until: .after(seconds: 60)))
        try bench.sweep()
        for (hold, charge) in ends {
            let row = try bench.row(hold)
            #expect(row?.status == (charge == nil ? .voided : .committed), "\(String(describing: row))")
            #expect(row?.charge == Money(nanodollars: charge ?? 0))
        }
        #expect(ends.count > 50, "only \(ends.count) requests were served")
        for tenant in tenants { try bench.expectExactBooks(tenant) }
    }

    // MARK: -

    /// Stops PostgreSQL while the work's COMMIT is durable and not yet answered, and starts it again.
    private func stopDuringCommit(_ postgres: PrivatePostgres, _ work: @escaping @Sendable () throws -> Void)
        throws
    {
        // COMMIT waits for a standby that is not there, after it has become durable.
        try postgres.waitForStandby(true)
        let failure = Locked<(any Error)?>(nil)
        let thread = try WorkerThread(name: "work") {
            do { try work() } catch { failure.withLock { $0 = error } }
        }
        let isCommitting = try Eventually.holds {
            try postgres.run(sql: "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                == "1\n"
        }
        try #require(isCommitting)
        // For the next start only: this one goes on waiting.
        _ = try postgres.run(sql: "ALTER SYSTEM RESET synchronous_standby_names")
        postgres.stop(isImmediate: true)
        thread.join()
        if let failure = failure.withLock({ $0 }) { throw failure }
        try postgres.start()
    }
}
