package import Postgres

/// Where reservations of the whole installation are made, as the ledger says.
package struct InstallationMode: Sendable, Equatable {
    /// Whether they are made in the ledger itself, because Redis is lost.
    package let isDatabase: Bool
    /// How often the mode has changed.
    package let change: Int64
    /// Which process has made the last change; empty when there was none.
    package let owner: String
    /// How long ago that was.
    package let seconds: Int64

    /// Creates a mode.
    package init(isDatabase: Bool, change: Int64, owner: String = "", seconds: Int64 = 0) {
        self.isDatabase = isDatabase
        self.change = change
        self.owner = owner
        self.seconds = seconds
    }
}

extension InstallationMode: CustomStringConvertible {
    /// The mode in words.
    package var description: String {
        guard isDatabase else { return "redis" }
        return "database: reservations are made in PostgreSQL since \(seconds) s, begun by \(owner)"
    }
}

extension LedgerStore {
    /// The mode of the installation.
    package func mode() throws(PostgresError) -> InstallationMode {
        InstallationMode(try database.query(LedgerStatements.readQuotaMode, []))
    }

    /// Makes all processes reserve in the ledger, unless the mode has changed since the change that is given.
    package func enterDatabaseMode(after change: Int64, by owner: String) throws(PostgresError) {
        _ = try database.query(LedgerStatements.enterDatabaseMode, [.int(change), .text(owner)])
    }

    /// Makes all processes reserve in Redis again, unless the mode has changed since, or some process has found Redis lost for less
    /// than so many milliseconds.
    package func leaveDatabaseMode(
        after change: Int64, by owner: String, healthyMilliseconds: Int64
    ) throws(PostgresError) {
        _ = try database.query(
            LedgerStatements.leaveDatabaseMode, [.int(change), .text(owner), .int(healthyMilliseconds)])
    }

    /// Notes that some process cannot use Redis, while the mode is still that of the change given.
    package func noteRedisLost(after change: Int64) throws(PostgresError) {
        _ = try database.query(LedgerStatements.noteRedisLost, [.int(change)])
    }
}

extension InstallationMode {
    init(_ rows: borrowing Rows) {
        self.init(
            isDatabase: rows.bool(0, 0), change: rows.int(0, 1), owner: rows.text(0, 2),
            seconds: rows.int(0, 3))
    }
}

extension LedgerStatements {
    static let readQuotaMode = Statement(name: "read_quota_mode", sql: PackageResources.read_quota_mode_sql)
    static let enterDatabaseMode = Statement(
        name: "enter_database_mode", sql: PackageResources.enter_database_mode_sql)
    static let leaveDatabaseMode = Statement(
        name: "leave_database_mode", sql: PackageResources.leave_database_mode_sql)
    static let noteRedisLost = Statement(name: "note_redis_lost", sql: PackageResources.note_redis_lost_sql)
    static let lockEpochs = Statement(name: "lock_epochs", sql: PackageResources.lock_epochs_sql)
    static let takeEpochs = Statement(name: "take_epochs", sql: PackageResources.take_epochs_sql)
    static let readMinute = Statement(name: "read_minute", sql: PackageResources.read_minute_sql)
    static let raiseReserved = Statement(name: "raise_reserved", sql: PackageResources.raise_reserved_sql)
    static let insertReserved = Statement(name: "insert_reserved", sql: PackageResources.insert_reserved_sql)
}
