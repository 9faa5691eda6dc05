package import Core
package import Postgres

/// A pending row and whose it is, for people.
package struct PendingHold: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The public part of the API key.
    package let key: String?
    /// The amount held.
    package let amount: Money
    /// The model as the client named it.
    package let model: String
    /// Whether the answer is a stream.
    package let isStream: Bool
    /// The process that inserted it.
    package let owner: String
    /// Whether that process's lease still runs.
    package let isLeased: Bool
    /// What is known of that process.
    package let process: OwnerIdentity?
}

extension LedgerReader {
    /// The pending rows since a trace id, that one included, of one tenant or of all, the oldest first.
    package static func pendingHolds(
        _ database: PostgresPool, since trace: TraceID, of tenant: TenantID?, countMax: Int
    ) throws(PostgresError) -> [PendingHold] {
        let rows = try database.query(
            LedgerStatements.listPending,
            [.text(trace.description), .text(orNull: tenant?.description), .int(Int64(countMax))])
        return (0..<rows.count).compactMap { row in
            guard let tenant = TenantID(rows.text(row, 0)), let trace = TraceID(rows.text(row, 1)) else {
                return nil
            }
            let process = rows.optionalText(row, 8).map { host in
                OwnerIdentity(
                    name: rows.text(row, 4), host: host, pid: Int32(rows.int(row, 9)),
                    processStart: rows.int(row, 10))
            }
            return PendingHold(
                tenant: tenant, trace: trace, key: rows.optionalText(row, 2),
                amount: Money(nanodollars: rows.int(row, 3)), model: rows.text(row, 5),
                isStream: rows.bool(row, 6),
                owner: rows.text(row, 4), isLeased: rows.bool(row, 7), process: process)
        }
    }
}
