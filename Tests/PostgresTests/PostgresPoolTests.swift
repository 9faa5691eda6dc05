import Glibc
import Postgres
import PrivateServers
import Synchronization
import TestTools
import Testing
import Threads

@Suite struct PostgresPoolTests {
    private let one = Statement(name: "one", sql: "SELECT 1")
    private let echo = Statement(name: "echo", sql: "SELECT $1::bigint")

    private func configuration(_ connectionString: String) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(connectionString: connectionString)
        configuration.leaseTimeoutMilliseconds = 100
        configuration.connectTimeoutMilliseconds = 10_000
        return configuration
    }

    /// Asks until PostgreSQL answers again.
    private func recovers(_ pool: PostgresPool) -> Bool {
        // Failing is what is expected at first.
        Eventually.holds { (try? pool.query(one)) != nil }
    }

    @Test func `a pool that is used up says so in time, and serves again afterwards`() throws {
        var configuration = configuration(try SharedServers.postgres().connectionString())
        configuration.connectionsMax = 1
        let pool = PostgresPool(configuration)
        let lease = try pool.lease()
        let start = Deadline.now
        #expect(throws: PostgresError.poolExhausted) { try pool.query(one) }
        #expect(start.elapsedNanoseconds > 90_000_000)
        #expect(start.elapsedNanoseconds < 2_000_000_000)
        lease.release()
        #expect(try pool.query(one).int(0, 0) == 1)
    }

    @Test func `no more threads wait than are allowed`() throws {
        var configuration = configuration(try SharedServers.postgres().connectionString())
        configuration.connectionsMax = 1
        configuration.waitingMax = 0
        configuration.leaseTimeoutMilliseconds = 60_000
        let pool = PostgresPool(configuration)
        let lease = try pool.lease()
        #expect(throws: PostgresError.poolExhausted) { try pool.query(one) }
        lease.release()
    }

    @Test func `many threads share few connections and each gets its own answer`() throws {
        var configuration = configuration(try SharedServers.postgres().connectionString())
        configuration.connectionsMax = 3
        configuration.leaseTimeoutMilliseconds = 20_000
        configuration.statementTimeoutMilliseconds = 20_000
        let pool = PostgresPool(configuration)
        let right = Atomic(0)
        let threads = try (0..<24).map { number in
            try WorkerThread(name: "w") { [echo] in
                for turn in 0..<50 {
                    let value = Int64(number * 1_000 + turn)
                    if let rows = try? pool.query(echo, [.int(value)]), rows.int(0, 0) == value {
                        right.add(1, ordering: .relaxed)
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(right.load(ordering: .relaxed) == 24 * 50)
    }

    @Test func `a slow statement is refused by the server and its connection stays`() throws {
        var configuration = configuration(try SharedServers.postgres().connectionString())
        configuration.statementTimeoutMilliseconds = 1_000
        let pool = PostgresPool(configuration)
        let process = Statement(name: "pid", sql: "SELECT pg_backend_pid()")
        let before = try pool.query(process).int(0, 0)
        let error = #expect(throws: PostgresError.self) {
            try pool.query(Statement(name: "sleep", sql: "SELECT pg_sleep(30)"))
        }
        #expect(error?.sqlState == "57014")
        #expect(try pool.query(process).int(0, 0) == before)
    }

    @Test func `a stopped server costs a bounded time, and the pool recovers`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        var configuration = configuration(server.connectionString())
        configuration.statementTimeoutMilliseconds = 1_000
        configuration.connectTimeoutMilliseconds = 1_000
        let pool = PostgresPool(configuration)
        let process = Statement(name: "pid", sql: "SELECT pg_backend_pid()")
        let backend = Int32(try pool.query(process).int(0, 0))
        // The backend is a child of the server we started; it is stopped while it is certainly alive.
        server.process?.send(SIGSTOP)
        kill(backend, SIGSTOP)
        let start = Deadline.now
        #expect(throws: PostgresError.timeout) { try pool.transaction([(process, [])]) }
        #expect(throws: PostgresError.unreachable("no answer in time")) { try pool.query(one) }
        #expect(start.elapsedNanoseconds < 6_000_000_000)
        let refusals = Deadline.now
        for _ in 0..<5 { #expect(throws: PostgresError.self) { try pool.query(one) } }
        #expect(
            refusals.elapsedNanoseconds < 4_000_000_000, "after a failed connect the next ones fail at once")
        kill(backend, SIGCONT)
        server.process?.send(SIGCONT)
        #expect(recovers(pool))
    }

    @Test func `connections of a restarted server are replaced without an error`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        let pool = PostgresPool(configuration(server.connectionString()))
        for isImmediate in [false, true] {
            let first = try pool.lease()
            let second = try pool.lease()
            _ = try first.query(one)
            _ = try second.query(one)
            first.release()
            second.release()
            server.stop(isImmediate: isImmediate)
            let error = #expect(throws: PostgresError.self) { try pool.query(one) }
            #expect(error?.isOutcomeUnknown == false)
            try server.start()
            #expect(recovers(pool))
            for _ in 0..<3 { #expect(try pool.query(one).int(0, 0) == 1) }
        }
    }

    @Test func `a connection that dies under a statement leaves the outcome unknown`() throws {
        let pool = PostgresPool(configuration(try SharedServers.postgres().connectionString()))
        let suicide = Statement(
            name: "suicide", sql: "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")
        let error = #expect(throws: PostgresError.self) { try pool.query(suicide) }
        #expect(error?.isOutcomeUnknown == true)
        let other = #expect(throws: PostgresError.self) { try pool.transaction([(one, []), (suicide, [])]) }
        #expect(other?.isOutcomeUnknown == true)
        #expect(try pool.query(one).int(0, 0) == 1)
    }

    @Test func `the first host that answers is taken`() throws {
        let server = try SharedServers.postgres()
        let string = "host=/nonexistent,\(server.socketDirectory) user=tollgate dbname=postgres"
        #expect(try PostgresPool(configuration(string)).query(one).int(0, 0) == 1)
    }

    @Test func `nobody listening is unreachable, and a wrong string says what is wrong`() throws {
        let pool = PostgresPool(configuration("host=/nonexistent"))
        let error = #expect(throws: PostgresError.self) { try pool.query(one) }
        #expect(error?.description.contains("No such file or directory") == true)
        let wrong = #expect(throws: PostgresError.self) {
            try PostgresPool(configuration("postgresql://[")).query(one)
        }
        #expect(wrong?.description.contains("connection string") == true)
    }

    @Test func `a server without a free connection is a bounded error`() throws {
        let directory = try TemporaryDirectory()
        var options = PrivatePostgres.Options.forTests
        options.settings += ["max_connections=4", "superuser_reserved_connections=0", "max_wal_senders=0"]
        let server = try PrivatePostgres(directory: directory.path, options: options)
        let pool = PostgresPool(configuration(server.connectionString()))
        let first = try pool.lease()
        let second = try pool.lease()
        let third = try pool.lease()
        let fourth = try pool.lease()
        let error = #expect(throws: PostgresError.self) { try pool.query(one) }
        #expect(error?.description.contains("too many clients") == true)
        first.release()
        #expect(try pool.query(one).int(0, 0) == 1)
        second.release()
        third.release()
        fourth.release()
    }
}
