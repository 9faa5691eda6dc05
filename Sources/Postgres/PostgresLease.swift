/// A connection that one thread uses; it goes back to its pool when the lease ends.
///
/// A database transaction that is still open then is rolled back, and a broken connection is dropped.
package struct PostgresLease: ~Copyable {
    let connection: PostgresConnection
    private let pool: PostgresPool

    init(pool: PostgresPool, connection: PostgresConnection) {
        self.pool = pool
        self.connection = connection
    }

    deinit {
        pool.giveBack(connection)
    }

    /// Runs one statement.
    package func query(_ statement: Statement, _ values: [PostgresValue] = []) throws(PostgresError) -> Rows {
        try connection.query(statement, values)
    }

    /// Runs SQL without parameters, such as a migration; several statements run as one database transaction, unless they
    /// contain transaction control of their own.
    @discardableResult
    package func execute(sql: String) throws(PostgresError) -> Rows {
        try connection.execute(sql)
    }

    /// Runs statements in a database transaction of their own, in one round trip, and returns the rows of each.
    package func transaction(_ statements: [(Statement, [PostgresValue])]) throws(PostgresError) -> [Rows] {
        try connection.transaction(statements, meanwhile: {})
    }

    /// Ends the lease now.
    package consuming func release() {}
}

/// A database transaction on a leased connection: commit it, or it is rolled back.
package struct DatabaseTransaction: ~Copyable {
    /// What a database transaction sees of others.
    package enum Isolation: String, Sendable {
        case readCommitted = "READ COMMITTED"
        case repeatableRead = "REPEATABLE READ"
        case serializable = "SERIALIZABLE"
    }

    private let lease: PostgresLease

    init(_ lease: consuming PostgresLease) {
        self.lease = lease
    }

    /// Runs one statement.
    package func query(_ statement: Statement, _ values: [PostgresValue] = []) throws(PostgresError) -> Rows {
        try lease.connection.query(statement, values)
    }

    /// Runs SQL without parameters, such as a migration.
    @discardableResult
    package func execute(sql: String) throws(PostgresError) -> Rows {
        try lease.connection.execute(sql)
    }

    /// Commits; when it returns, the server has acknowledged it.
    package consuming func commit() throws(PostgresError) {
        try lease.connection.commit()
    }

    /// Rolls back.
    package consuming func rollBack() {
        lease.connection.rollBackIfNeeded()
    }
}
