package import Core
package import Postgres
import Threads

/// What stands in the ledger, read by primary key or as sums of one tenant.
package enum LedgerReader {
    /// The rows under some traces; a trace without a row is missing from the answer.
    package static func rows(
        _ database: PostgresPool, _ names: [(TenantID, TraceID)]
    ) throws(PostgresError) -> [TraceID: StandingRow] {
        let rows = try database.query(
            LedgerStatements.readRows,
            [.textArray(names.map(\.0.description)), .uuidArray(names.map(\.1.bits))])
        var found: [TraceID: StandingRow] = [:]
        for row in 0..<rows.count {
            guard let trace = TraceID(rows.text(row, 1)),
                let status = TransactionStatus(rawValue: rows.text(row, 2))
            else { preconditionFailure("the ledger's CHECK constraints admit no other values") }
            found[trace] = StandingRow(
                trace: trace, status: status, epoch: rows.int(row, 3), rseq: rows.int(row, 4),
                hold: Money(nanodollars: rows.int(row, 5)), charge: Money(nanodollars: rows.int(row, 6)),
                owner: rows.text(row, 7))
        }
        return found
    }

    /// What is current of a tenant; nil when there is no such tenant.
    package static func standing(
        _ database: PostgresPool, of tenant: TenantID
    ) throws(PostgresError) -> TenantStanding? {
        let rows = try database.query(LedgerStatements.readStanding, [.text(tenant.description)])
        guard rows.count == 1 else { return nil }
        return TenantStanding(
            epoch: rows.int(0, 0), creditSequence: rows.int(0, 1), limitsVersion: rows.int(0, 2))
    }

    /// All that a new image of the tenant is made of; nil when there is no such tenant.
    ///
    /// Call it only after ``LedgerStore/raiseEpoch(of:above:sinceChange:)`` has returned: rows accepted before that are then all visible here.
    package static func snapshot(
        _ database: PostgresPool, of tenant: TenantID, in period: Period
    ) throws(PostgresError) -> TenantSnapshot? {
        let rows = try database.query(
            LedgerStatements.readSnapshot,
            [.text(tenant.description), .int(Int64(period.day))])
        return TenantSnapshot(rows)
    }

    /// The books of one tenant as the ledger has them.
    package static func totals(
        _ database: PostgresPool, of tenant: TenantID
    ) throws(PostgresError) -> TenantTotals {
        let rows = try database.query(LedgerStatements.readTenantTotals, [.text(tenant.description)])
        return TenantTotals(
            credited: Money(nanodollars: rows.int(0, 0)), charged: Money(nanodollars: rows.int(0, 1)),
            held: Money(nanodollars: rows.int(0, 2)), committed: rows.int(0, 3), pending: rows.int(0, 4),
            voided: rows.int(0, 5))
    }

    /// The newest transactions first.
    ///
    /// - Parameters:
    ///   - tenant: Only this tenant's; nil for all.
    ///   - before: Only older ones than this trace: the cursor of the next page.
    ///   - status: Only in this state.
    ///   - countMax: The most rows.
    package static func transactions(
        _ database: PostgresPool, of tenant: TenantID?, before: TraceID?, status: TransactionStatus?,
        countMax: Int
    ) throws(PostgresError) -> [ListedTransaction] {
        // Of one tenant the primary key finds them. Of all tenants only recent time is looked at, more of it until there are enough:
        // the block range index then reads no more than that.
        let newest = before?.unixMilliseconds ?? WallClock.unixMilliseconds
        let hour: Int64 = 3_600_000
        let windows = tenant == nil ? [hour, 24 * hour, 31 * 24 * hour] : []
        for window in windows {
            let since = TraceID(lowestAtUnixMilliseconds: max(0, newest - window))
            let found = try transactions(database, tenant, before, status, since, countMax)
            if found.count == countMax { return found }
        }
        return try transactions(
            database, tenant, before, status, TraceID(lowestAtUnixMilliseconds: 0), countMax)
    }

    private static func transactions(
        _ database: PostgresPool, _ tenant: TenantID?, _ before: TraceID?, _ status: TransactionStatus?,
        _ since: TraceID, _ countMax: Int
    ) throws(PostgresError) -> [ListedTransaction] {
        let rows = try database.query(
            LedgerStatements.listTransactions,
            [
                .text(orNull: tenant?.description), .text(orNull: before?.description),
                .text(orNull: status?.rawValue), .int(Int64(countMax)), .text(since.description),
            ])
        return (0..<rows.count).map { row in ListedTransaction(rows, row) }
    }
}

/// The sums of one tenant's books.
package struct TenantTotals: Sendable, Hashable {
    /// All credits.
    package let credited: Money
    /// All committed charges.
    package let charged: Money
    /// All pending holds.
    package let held: Money
    /// How many rows are committed.
    package let committed: Int64
    /// How many rows are pending.
    package let pending: Int64
    /// How many rows are voided.
    package let voided: Int64

    /// Credits − charges − holds: what an exact image in Redis shows.
    package var balance: Money { credited - charged - held }
}

/// One billing transaction for people and admin programs.
package struct ListedTransaction: Sendable {
    /// Who is billed.
    package let tenant: String
    /// Which request.
    package let trace: String
    /// The public part of the API key.
    package let key: String?
    /// Pending, committed or voided.
    package let status: String
    /// What was held.
    package let hold: Money
    /// What was charged; zero unless committed.
    package let charge: Money
    /// The model as the client named it.
    package let model: String
    /// Who served it, or was tried last.
    package let provider: String?
    /// The provider's name of the model.
    package let upstreamModel: String?
    /// What was asked for, `chat` for instance.
    package let capability: String
    /// Whether the answer was to be streamed.
    package let isStream: Bool
    /// The tokens that were charged.
    package let usage: Usage
    /// How the tokens are known.
    package let usageSource: String?
    /// The price that applied.
    package let priceVersion: Int64?
    /// Whether the request failed.
    package let isError: Bool
    /// The machine code of the failure.
    package let errorCode: String?
    /// Whether the stream came to its end.
    package let streamCompleted: Bool
    /// Who ended the answer early.
    package let interruptedBy: String?
    /// How long the request took until its row was ended.
    package let latencyMilliseconds: Int64?
    /// The balance before the hold was taken.
    package let balanceBefore: Money
    /// The balance with the hold taken.
    package let balanceAfter: Money
    /// When the hold was taken: UTC, ISO 8601.
    package let createdAt: String
    /// When the row was ended: UTC, ISO 8601; nil while it is pending.
    package let settledAt: String?

    init(_ rows: borrowing Rows, _ row: Int) {
        tenant = rows.text(row, 0)
        trace = rows.text(row, 1)
        key = rows.optionalText(row, 2)
        status = rows.text(row, 3)
        hold = Money(nanodollars: rows.int(row, 4))
        charge = Money(nanodollars: rows.int(row, 5))
        model = rows.text(row, 6)
        provider = rows.optionalText(row, 7)
        upstreamModel = rows.optionalText(row, 8)
        capability = rows.text(row, 9)
        isStream = rows.bool(row, 10)
        usage = Usage(
            input: rows.int(row, 11), cachedInput: rows.int(row, 12), cacheWrite: rows.int(row, 13),
            cacheWriteHour: rows.int(row, 14), output: rows.int(row, 15), reasoning: rows.int(row, 16),
            audioInput: rows.int(row, 17), audioOutput: rows.int(row, 18))
        usageSource = rows.optionalText(row, 19)
        priceVersion = rows.optionalInt(row, 20)
        isError = rows.bool(row, 21)
        errorCode = rows.optionalText(row, 22)
        streamCompleted = rows.bool(row, 23)
        interruptedBy = rows.optionalText(row, 24)
        latencyMilliseconds = rows.optionalInt(row, 25)
        balanceBefore = Money(nanodollars: rows.int(row, 26))
        balanceAfter = Money(nanodollars: rows.int(row, 27))
        createdAt = rows.text(row, 28)
        settledAt = rows.optionalText(row, 29)
    }
}
