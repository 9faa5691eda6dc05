import Postgres
import PrivateServers
import Testing

@Suite struct DatabaseTransactionTests {
    private let database: SharedServers.Database
    private let pool: PostgresPool
    private let insert = Statement(name: "insert", sql: "INSERT INTO t (a) VALUES ($1) RETURNING a")
    private let count = Statement(name: "count", sql: "SELECT count(*) FROM t")

    init() throws {
        database = try SharedServers.database()
        pool = PostgresPool(PostgresConfiguration(connectionString: database.connectionString))
        let lease = try pool.lease()
        try lease.execute(
            sql: """
                CREATE TABLE t (a bigint CONSTRAINT t_unique UNIQUE DEFERRABLE INITIALLY IMMEDIATE
                    CONSTRAINT t_positive CHECK (a > 0));
                CREATE TABLE deferred (a bigint CONSTRAINT deferred_unique UNIQUE DEFERRABLE INITIALLY DEFERRED);
                """)
    }

    private func rowCount() throws -> Int64 {
        try pool.query(count).int(0, 0)
    }

    @Test func `what is committed stays`() throws {
        let transaction = try pool.begin()
        #expect(try transaction.query(insert, [.int(1)]).affectedRows == 1)
        try transaction.commit()
        #expect(try rowCount() == 1)
    }

    @Test func `a database transaction that is dropped is rolled back`() throws {
        do {
            let transaction = try pool.begin(isolation: .serializable)
            _ = try transaction.query(insert, [.int(1)])
        }
        let transaction = try pool.begin()
        _ = try transaction.query(insert, [.int(2)])
        transaction.rollBack()
        #expect(try rowCount() == 0)
    }

    @Test func `committing after a refused statement is an error and not a commit`() throws {
        let transaction = try pool.begin()
        _ = try transaction.query(insert, [.int(1)])
        #expect(throws: PostgresError.self) { try transaction.query(insert, [.int(-1)]) }
        do throws(PostgresError) {
            try transaction.commit()
            Issue.record("a failed database transaction was committed")
        } catch {
            #expect(error.sqlState == "25P02")
            #expect(!error.isOutcomeUnknown)
        }
        #expect(try rowCount() == 0)
    }

    @Test func `an error carries SQLSTATE, message and constraint`() throws {
        let error = #expect(throws: PostgresError.self) { try pool.query(insert, [.int(-1)]) }
        guard case .server(let sqlState, let message, let constraint) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(sqlState == "23514")
        #expect(message.contains("check constraint"))
        #expect(constraint == "t_positive")
        let wrong = Statement(name: "wrong", sql: "SELECT nothing FROM nowhere")
        #expect(throws: PostgresError.self) { try pool.query(wrong) }
        #expect(try pool.query(insert, [.int(5)]).int(0, 0) == 5)
    }

    @Test func `a pipelined database transaction returns the rows of each statement`() throws {
        let rows = try pool.transaction([(insert, [.int(1)]), (insert, [.int(2)]), (count, [])])
        #expect(rows.count == 3)
        #expect(rows[0].int(0, 0) == 1)
        #expect(rows[1].affectedRows == 1)
        #expect(rows[2].int(0, 0) == 2)
        #expect(try pool.transaction([]).isEmpty)
    }

    @Test func `a pipelined database transaction is all or nothing`() throws {
        for position in 0..<3 {
            var statements = (1...3).map { (insert, [PostgresValue.int(Int64($0))]) }
            statements[position].1 = [.int(-1)]
            let error = #expect(throws: PostgresError.self) { try pool.transaction(statements) }
            #expect(error?.sqlState == "23514")
            #expect(try rowCount() == 0)
        }
        #expect(try pool.transaction([(insert, [.int(1)])]).count == 1)
    }

    @Test func `a pipelined database transaction reads what is committed, whatever the database prefers`()
        throws
    {
        let lease = try pool.lease()
        try lease.execute(
            sql: "ALTER DATABASE \"\(database.name)\" SET default_transaction_isolation = 'serializable'")
        let fresh = PostgresPool(PostgresConfiguration(connectionString: database.connectionString))
        let isolation = Statement(name: "isolation", sql: "SELECT current_setting('transaction_isolation')")
        #expect(try fresh.transaction([(isolation, [])])[0].text(0, 0) == "read committed")
    }

    @Test func `a refusal at the commit itself is known to have failed`() throws {
        let deferred = Statement(name: "deferred", sql: "INSERT INTO deferred VALUES ($1)")
        let error = #expect(throws: PostgresError.self) {
            try pool.transaction([(insert, [.int(1)]), (deferred, [.int(7)]), (deferred, [.int(7)])])
        }
        #expect(error?.sqlState == "23505")
        #expect(error?.isOutcomeUnknown == false)
        #expect(try rowCount() == 0)
    }

    @Test func `a pipeline larger than any socket buffer gets through`() throws {
        let echo = Statement(name: "echo", sql: "SELECT $1::text")
        let text = String(repeating: "x", count: 1 << 20)
        let rows = try pool.transaction((0..<16).map { _ in (echo, [.text(text)]) })
        #expect(rows.allSatisfy { $0.text(0, 0) == text })
    }

    @Test func `a lease that ends in the middle of a database transaction leaves nothing behind`() throws {
        var configuration = PostgresConfiguration(connectionString: database.connectionString)
        configuration.connectionsMax = 1
        let pool = PostgresPool(configuration)
        do {
            let lease = try pool.lease()
            try lease.execute(sql: "BEGIN")
            _ = try lease.query(insert, [.int(1)])
        }
        #expect(try pool.query(count).int(0, 0) == 0)
        #expect(try pool.query(insert, [.int(2)]).int(0, 0) == 2)
        #expect(try rowCount() == 1)
    }

    @Test func `a statement whose table has changed works on the next call`() throws {
        let all = Statement(name: "all", sql: "SELECT * FROM t")
        #expect(try pool.query(all).count == 0)
        let lease = try pool.lease()
        try lease.execute(sql: "ALTER TABLE t ADD COLUMN b text")
        lease.release()
        _ = try? pool.query(all)
        #expect(try pool.query(all).count == 0)
    }
}
