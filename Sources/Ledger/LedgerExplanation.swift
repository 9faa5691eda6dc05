package import Core
package import Postgres

/// A billing transaction with everything that its charge is made of.
package struct DetailedTransaction: Sendable {
    /// What lists show of it.
    package let listed: ListedTransaction
    /// The epoch of its hold.
    package let epoch: Int64
    /// The number of its hold in that epoch.
    package let rseq: Int64
    /// The day and month it counts in.
    package let period: Period
    /// The process that inserted it.
    package let owner: String
    /// When the request has to end at the latest: UTC, ISO 8601.
    package let deadline: String
    /// The price it names.
    package let price: Price?
    /// What the house paid, because the answer cost more than was held.
    package let overrun: Money

    init(_ rows: borrowing Rows, _ row: Int) {
        listed = ListedTransaction(rows, row)
        epoch = rows.int(row, 30)
        rseq = rows.int(row, 31)
        period = Period(day: Int32(rows.int(row, 32)))
        owner = rows.text(row, 33)
        deadline = rows.text(row, 34)
        if let version = rows.optionalInt(row, 35) {
            let rates = Price.Rates(
                input: rows.int(row, 36), output: rows.int(row, 40), cachedInput: rows.int(row, 37),
                cacheWrite: rows.int(row, 38), cacheWriteHour: rows.int(row, 39),
                reasoning: rows.int(row, 41), audioInput: rows.int(row, 42), audioOutput: rows.int(row, 43))
            price = Price(version: version, rates: rates, perRequest: Money(nanodollars: rows.int(row, 44)))
        } else {
            price = nil
        }
        overrun = Money(nanodollars: rows.int(row, 45))
    }
}

/// A row that could be behind a difference between the ledger and an image.
package struct ExplainedRow: Sendable {
    /// Which request.
    package let trace: TraceID
    /// Its state.
    package let status: String
    /// The amount held.
    package let hold: Money
    /// The amount charged.
    package let charge: Money
    /// The epoch of its hold.
    package let epoch: Int64
    /// The number of its hold.
    package let rseq: Int64

    init?(_ rows: borrowing Rows, _ row: Int) {
        guard let trace = TraceID(rows.text(row, 0)) else { return nil }
        self.trace = trace
        status = rows.text(row, 1)
        hold = Money(nanodollars: rows.int(row, 2))
        charge = Money(nanodollars: rows.int(row, 3))
        epoch = rows.int(row, 4)
        rseq = rows.int(row, 5)
    }
}

/// A credit that could be behind a difference.
package struct ExplainedCredit: Sendable {
    /// Its number.
    package let sequence: Int64
    /// The amount.
    package let amount: Money
    /// Why it was added.
    package let kind: String
    /// The payer's number for it.
    package let externalID: String
    /// Whether the image does not count it yet.
    package let isMissing: Bool
}

/// Sums of rolled-up rows that are not those of the rows.
package struct ExplainedRollup: Sendable {
    /// The API key; empty for none.
    package let key: String
    /// The day.
    package let day: Int64
    /// What was rolled up.
    package let rolledUp: Money
    /// What the rows say.
    package let rows: Money
    /// How many committed rows were rolled up.
    package let rolledUpCount: Int64
    /// How many committed rows there are.
    package let rowCount: Int64
}

extension LedgerReader {
    /// The transactions under a trace: one, unless two tenants were given the same.
    package static func transactions(
        _ database: PostgresPool, trace: TraceID
    ) throws(PostgresError) -> [DetailedTransaction] {
        let rows = try database.query(LedgerStatements.readTransaction, [.text(trace.description)])
        return (0..<rows.count).map { DetailedTransaction(rows, $0) }
    }

    /// Rows whose hold, charge, or hold less charge is as large as a difference, the newest first.
    package static func rows(
        _ database: PostgresPool, of tenant: TenantID, asLargeAs difference: Money
    ) throws(PostgresError) -> [ExplainedRow] {
        let rows = try database.query(
            LedgerStatements.explainRows,
            [.text(tenant.description), .int(abs(difference.nanodollars))])
        return (0..<rows.count).compactMap { ExplainedRow(rows, $0) }
    }

    /// A tenant's pending rows, the oldest first.
    package static func pendingRows(
        _ database: PostgresPool, of tenant: TenantID
    ) throws(PostgresError) -> [ExplainedRow] {
        let rows = try database.query(LedgerStatements.explainPending, [.text(tenant.description)])
        return (0..<rows.count).compactMap { ExplainedRow(rows, $0) }
    }

    /// Credits after one, and those as large as a difference.
    package static func credits(
        _ database: PostgresPool, of tenant: TenantID, after sequence: Int64, orAsLargeAs difference: Money
    ) throws(PostgresError) -> [ExplainedCredit] {
        let rows = try database.query(
            LedgerStatements.explainCredits,
            [.text(tenant.description), .int(sequence), .int(abs(difference.nanodollars))])
        return (0..<rows.count).map { row in
            ExplainedCredit(
                sequence: rows.int(row, 0), amount: Money(nanodollars: rows.int(row, 1)),
                kind: rows.text(row, 2), externalID: rows.text(row, 3), isMissing: rows.bool(row, 4))
        }
    }

    /// Sums of a tenant's rolled-up rows that are not those of its rows.
    package static func changedRollups(
        _ database: PostgresPool, of tenant: TenantID
    ) throws(PostgresError) -> [ExplainedRollup] {
        let rows = try database.query(LedgerStatements.explainRollups, [.text(tenant.description)])
        return (0..<rows.count).map { row in
            ExplainedRollup(
                key: rows.text(row, 0), day: rows.int(row, 1), rolledUp: Money(nanodollars: rows.int(row, 2)),
                rows: Money(nanodollars: rows.int(row, 3)), rolledUpCount: rows.int(row, 4),
                rowCount: rows.int(row, 5))
        }
    }
}
