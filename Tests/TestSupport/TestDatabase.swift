import Postgres
package import PrivateServers
import Schema

/// A database with the schema of this build, in the PostgreSQL that all tests share.
package enum TestDatabase {
    /// Makes a fresh one; it exists as long as somebody refers to it.
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

    /// Brings a database, in which the application's role exists, to the schema of this build.
    package static func migrate(_ connectionString: String) throws {
        let pool = PostgresPool(PostgresConfiguration(connectionString: connectionString))
        _ = try Migrator(database: pool).migrate()
        pool.closeIdle()
    }

    /// The connection string of the application's role, which may do only what the responder may.
    package static func applicationString(_ database: SharedServers.Database) throws -> String {
        let server = try SharedServers.postgres()
        return "host='\(server.socketDirectory)' user=tollgate_app dbname=\(database.name)"
    }
}
