/// How to reach PostgreSQL, and the limits that every use of it keeps.
package struct PostgresConfiguration: Sendable {
    /// A libpq connection string or URI; it may list several hosts, which are then tried in order.
    package var connectionString: String
    /// The most connections that a pool opens.
    package var connectionsMax = 16
    /// How many threads may wait for a connection at the same time.
    package var waitingMax = 1_024
    /// How long a thread waits for a connection that others use.
    package var leaseTimeoutMilliseconds = 1_000
    /// How long connecting to one host may take.
    package var connectTimeoutMilliseconds = 3_000
    /// How long one statement may take in the server, which then refuses it with SQLSTATE 57014.
    ///
    /// A server that does not even do that is given up half a second later.
    package var statementTimeoutMilliseconds = 5_000
    /// Settings of each session, as `SET` takes them; values without blanks.
    package var sessionSettings: [String: String] = [:]
    /// What `pg_stat_activity` shows.
    package var applicationName: String

    /// A configuration with the limits that suit a responder.
    package init(connectionString: String, applicationName: String = "tollgate") {
        self.connectionString = connectionString
        self.applicationName = applicationName
    }

    /// How long we wait for the answer to one statement.
    var answerTimeoutMilliseconds: Int { statementTimeoutMilliseconds + 500 }
}

/// One SQL statement of the program, prepared on each connection when it is first used there.
package struct Statement: Sendable {
    /// What the statement is prepared as; two statements never share a name.
    package let name: String
    /// One statement with parameters `$1`, `$2`, ….
    package let sql: String

    /// Creates a statement from its text.
    package init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }

    /// Creates a statement from an embedded file.
    package init(name: String, sql: [UInt8]) {
        self.init(name: name, sql: String(decoding: sql, as: UTF8.self))
    }
}
