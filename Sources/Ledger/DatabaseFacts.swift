package import Postgres

/// What an operator should know of the server that the ledger is in.
package struct DatabaseFacts: Sendable, Equatable {
    /// PostgreSQL's version.
    package let version: String
    /// The setting `synchronous_commit`.
    package let synchronousCommit: String
    /// Whether what is written is forced to the disk.
    package let isForcedToDisk: Bool
    /// Whether it is a standby, which takes no writes.
    package let isStandby: Bool
    /// Whether the role we are may do everything.
    package let isSuperuser: Bool
    /// The most connections that ordinary roles can have.
    package let connectionsMax: Int64
    /// Connections at this moment.
    package let connections: Int64
    /// The server's clock: Unix milliseconds.
    package let unixMilliseconds: Int64
    /// Whether next month's rows have a partition.
    package let hasNextPartition: Bool
}

extension LedgerStore {
    /// Asks the server about itself.
    package func facts() throws(PostgresError) -> DatabaseFacts {
        let rows = try database.query(LedgerStatements.readDatabaseFacts, [])
        return DatabaseFacts(
            version: rows.text(0, 0), synchronousCommit: rows.text(0, 1),
            isForcedToDisk: rows.text(0, 2) == "on" && rows.text(0, 3) == "on", isStandby: rows.bool(0, 4),
            isSuperuser: rows.text(0, 5) == "on", connectionsMax: rows.int(0, 6),
            connections: rows.int(0, 7),
            unixMilliseconds: rows.int(0, 8), hasNextPartition: rows.bool(0, 9))
    }

    /// The processes that own rows, or could: those whose lease runs.
    package func livingOwners() throws(PostgresError) -> [OwnerIdentity] {
        let rows = try database.query(LedgerStatements.readLivingOwners, [])
        return (0..<rows.count).map { row in
            OwnerIdentity(
                name: rows.text(row, 0), host: rows.text(row, 1), pid: Int32(rows.int(row, 2)),
                processStart: rows.int(row, 3))
        }
    }
}
