package import Postgres

/// Brings a database's schema to the version this build needs.
///
/// Each migration is one `.sql` file, applied once, in one database transaction together with its entry in `schema_migrations`.
package struct Migrator: Sendable {
    /// One change of the schema.
    package struct Migration: Sendable {
        /// Its number; they are applied in this order.
        package let version: Int
        /// Its name, as the file has it.
        package let name: String
        let sql: [UInt8]
    }

    /// All migrations of this build, in order.
    package static let migrations: [Migration] = [
        Migration(version: 1, name: "tables", sql: PackageResources.m0001_tables_sql),
        Migration(
            version: 2, name: "billing_transactions", sql: PackageResources.m0002_billing_transactions_sql),
        Migration(
            version: 3, name: "privileges_and_notices", sql: PackageResources.m0003_privileges_and_notices_sql
        ),
        Migration(
            version: 4, name: "prices_outlive_providers",
            sql: PackageResources.m0004_prices_outlive_providers_sql),
        Migration(version: 5, name: "rollups", sql: PackageResources.m0005_rollups_sql),
        Migration(version: 6, name: "limits", sql: PackageResources.m0006_limits_sql),
        Migration(version: 7, name: "idempotency", sql: PackageResources.m0007_idempotency_sql),
        Migration(version: 8, name: "quota_mode", sql: PackageResources.m0008_quota_mode_sql),
        Migration(version: 9, name: "outbox", sql: PackageResources.m0009_outbox_sql),
    ]

    /// The version that a database must have for this build.
    package static var currentVersion: Int { migrations.last?.version ?? 0 }

    private static let create = Statement(
        name: "create_schema_migrations", sql: PackageResources.create_schema_migrations_sql)
    private static let lock = Statement(name: "lock_migrations", sql: PackageResources.lock_migrations_sql)
    private static let read = Statement(name: "read_migrations", sql: PackageResources.read_migrations_sql)
    private static let insert = Statement(
        name: "insert_migration", sql: PackageResources.insert_migration_sql)

    private let database: PostgresPool

    /// Creates a migrator of a database, connected as the schema's owner.
    package init(database: PostgresPool) {
        self.database = database
    }

    /// Applies what is missing and returns it.
    ///
    /// Safe to run from several places at the same time.
    package func migrate() throws(PostgresError) -> [Migration] {
        let transaction = try database.begin()
        _ = try transaction.query(Migrator.lock, [])
        _ = try transaction.query(Migrator.create, [])
        let applied = Migrator.versions(try transaction.query(Migrator.read, []))
        let missing = Migrator.migrations.filter { !applied.contains($0.version) }
        for migration in missing {
            _ = try transaction.execute(sql: String(decoding: migration.sql, as: UTF8.self))
            _ = try transaction.query(
                Migrator.insert, [.int(Int64(migration.version)), .text(migration.name)])
        }
        try transaction.commit()
        return missing
    }

    /// The newest version a database has; 0 for an empty one.
    package static func version(of database: PostgresPool) throws(PostgresError) -> Int {
        do throws(PostgresError) {
            return versions(try database.query(read, [])).max() ?? 0
        } catch {
            guard error.sqlState == "42P01" else { throw error }
            return 0
        }
    }

    private static func versions(_ rows: borrowing Rows) -> Set<Int> {
        Set((0..<rows.count).map { Int(rows.int($0, 0)) })
    }
}
