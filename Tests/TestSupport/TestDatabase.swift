package import Postgres
package import PrivateServers
import Schema
import TestTools
import Testing

/// A database with the schema of this build.
package enum TestDatabase {
    /// Makes a fresh one in the PostgreSQL that all tests share; it exists as long as somebody refers to it.
    package static func make() throws -> SharedServers.Database {
        try SharedServers.database(template: "schema") { connectionString in
            let server = try SharedServers.postgres()
            // The role is the cluster's, so it may be there from another template.
            _ = try server.run(
                sql: """
                    DO $$ BEGIN CREATE ROLE tollgate_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$
                    """)
            try migrate(connectionString)
        }
    }

    /// Makes one in a PostgreSQL that the test may stop, or in the shared one.
    package static func make(in server: PrivatePostgres?) throws -> SharedServers.Database {
        guard let server else { return try make() }
        _ = try makeLedger(in: server)
        return SharedServers.Database(name: "ledger", server: server)
    }

    /// Makes one named `ledger` in a PostgreSQL that the test may stop; how the application and the owner connect.
    package static func makeLedger(
        in server: PrivatePostgres
    ) throws -> (application: String, owner: String) {
        _ = try server.run(sql: "CREATE ROLE tollgate_app LOGIN")
        _ = try server.run(sql: "CREATE DATABASE ledger")
        let owner = server.connectionString(database: "ledger")
        try migrate(owner)
        return (applicationString(server, "ledger"), owner)
    }

    private static func migrate(_ connectionString: String) throws {
        let pool = PostgresPool(PostgresConfiguration(connectionString: connectionString))
        _ = try Migrator(database: pool).migrate()
        pool.closeIdle()
    }

    /// The connection string of the application's role, which may do only what the responder may.
    package static func applicationString(_ database: SharedServers.Database) throws -> String {
        applicationString(database.server, database.name)
    }

    private static func applicationString(_ server: PrivatePostgres, _ database: String) -> String {
        "host='\(server.socketDirectory)' user=tollgate_app dbname=\(database)"
    }

    /// Connections with the application's rights.
    package static func pool(_ database: SharedServers.Database) throws -> PostgresPool {
        PostgresPool(PostgresConfiguration(connectionString: try applicationString(database)))
    }
}

extension PostgresConfiguration {
    /// For a machine on which everything may take long.
    package static func patient(_ connectionString: String, _ name: String) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(connectionString: connectionString, applicationName: name)
        configuration.leaseTimeoutMilliseconds = 30_000
        configuration.connectTimeoutMilliseconds = 30_000
        configuration.statementTimeoutMilliseconds = 60_000
        return configuration
    }
}

extension PrivatePostgres {
    /// Makes every COMMIT wait for a standby that does not exist, once it is durable here; or no longer.
    package func waitForStandby(_ waits: Bool) throws {
        let name = waits ? "nobody" : ""
        _ = try run(sql: "ALTER SYSTEM SET synchronous_standby_names = '\(name)'")
        _ = try run(sql: "SELECT pg_reload_conf()")
        let isSet = try Eventually.holds {
            try run(sql: "SHOW synchronous_standby_names") == name + "\n"
        }
        try #require(isSet)
        // Backends obey once the checkpointer has taken the setting over: it looks before it makes a checkpoint.
        _ = try run(sql: "CHECKPOINT")
    }
}
