import Postgres
import PrivateServers
import Schema
import TestSupport
import TestTools
import Testing

@Suite struct MigratorTests {
    /// An empty database, beside those in which the application's role was made already.
    private func emptyPool() throws -> (SharedServers.Database, PostgresPool) {
        _ = try TestDatabase.make()
        let database = try SharedServers.database()
        return (database, PostgresPool(PostgresConfiguration(connectionString: database.connectionString)))
    }

    @Test func `migrations are numbered from one without gaps and have names`() {
        #expect(Migrator.migrations.map(\.version) == Array(1...Migrator.migrations.count))
        #expect(Migrator.migrations.allSatisfy { !$0.name.isEmpty })
        #expect(Set(Migrator.migrations.map(\.name)).count == Migrator.migrations.count)
        #expect(Migrator.currentVersion == Migrator.migrations.count)
    }

    @Test func `an empty database is at version zero and then at the current one`() throws {
        let (database, pool) = try emptyPool()
        defer { withExtendedLifetime(database) {} }
        #expect(try Migrator.version(of: pool) == 0)
        let applied = try Migrator(database: pool).migrate()
        #expect(applied.map(\.version) == Migrator.migrations.map(\.version))
        #expect(try Migrator.version(of: pool) == Migrator.currentVersion)
        pool.closeIdle()
    }

    @Test func `migrating again applies nothing`() throws {
        let (database, pool) = try emptyPool()
        defer { withExtendedLifetime(database) {} }
        _ = try Migrator(database: pool).migrate()
        #expect(try Migrator(database: pool).migrate().isEmpty)
        pool.closeIdle()
    }

    @Test func `of many that migrate at once one does and all succeed`() throws {
        let (database, pool) = try emptyPool()
        let applied = try Concurrently.run(6) { _ in
            var configuration = PostgresConfiguration(connectionString: database.connectionString)
            configuration.connectTimeoutMilliseconds = 30_000
            configuration.statementTimeoutMilliseconds = 60_000
            let pool = PostgresPool(configuration)
            defer { pool.closeIdle() }
            return try Migrator(database: pool).migrate().count
        }
        #expect(applied.sorted() == [0, 0, 0, 0, 0, Migrator.migrations.count])
        pool.closeIdle()
    }

    @Test func `a migration that fails leaves the database as it was`() throws {
        let (database, pool) = try emptyPool()
        defer { withExtendedLifetime(database) {} }
        // A table that the second migration makes is there already.
        try pool.lease().execute(sql: "CREATE TABLE stream_checkpoints (x int)")
        #expect(throws: PostgresError.self) { try Migrator(database: pool).migrate() }
        #expect(try Migrator.version(of: pool) == 0)
        let tables = Statement(
            name: "tables", sql: "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        #expect(try pool.query(tables).int(0, 0) == 1)
        pool.closeIdle()
    }

    @Test func `the application may not migrate`() throws {
        let database = try TestDatabase.make()
        let pool = try TestDatabase.pool(database)
        try database.run("DELETE FROM schema_migrations")
        #expect { try Migrator(database: pool).migrate() } throws: {
            ($0 as? PostgresError)?.sqlState == "42501"
        }
        pool.closeIdle()
    }

    @Test func `the application reads the schema's version`() throws {
        let database = try TestDatabase.make()
        let pool = try TestDatabase.pool(database)
        #expect(try Migrator.version(of: pool) == Migrator.currentVersion)
        pool.closeIdle()
    }
}
