package import Core
package import Postgres

/// The truth about money: what was credited, held and charged, for ever.
package struct LedgerStore: Sendable {
    /// The database it lives in.
    package let database: PostgresPool

    /// Creates the ledger of a database.
    package init(database: PostgresPool) {
        self.database = database
    }

    /// Raises a tenant's epoch above the one of the image seen and commits that alone; nil when there is no such tenant, or when
    /// the mode of the installation has changed since: no image may then be made.
    ///
    /// From then on no row is accepted that was reserved before. Waits for rows that are being accepted right now.
    package func raiseEpoch(
        of tenant: TenantID, above seen: Int64, sinceChange change: Int64
    ) throws(PostgresError) -> Int64? {
        let rows = try database.query(
            LedgerStatements.raiseEpoch, [.text(tenant.description), .int(seen), .int(change)])
        return rows.count == 1 ? rows.int(0, 0) : nil
    }

    /// The number of a Redis life, registered when it is new, and after which change of the mode it is good; nil while reservations
    /// are made in the ledger.
    package func incarnation(
        runID: String, replicationID: String
    ) throws(PostgresError) -> (number: Int64, change: Int64)? {
        let rows = try database.query(
            LedgerStatements.insertIncarnation, [.text(runID), .text(replicationID)])
        return rows.count == 1 ? (rows.int(0, 0), rows.int(0, 1)) : nil
    }

    /// Whether a COMMIT that PostgreSQL acknowledges survives a crash of its machine.
    package func isDurable() throws(PostgresError) -> Bool {
        try database.query(LedgerStatements.readDurability, []).text(0, 0) != "off"
    }

    /// Makes the partitions of the months ahead; returns how many were missing.
    ///
    /// Call at every start.
    @discardableResult
    package func makePartitions() throws(PostgresError) -> Int64 {
        try database.query(LedgerStatements.makePartitions, []).int(0, 0)
    }

    /// Stores what running streams have delivered so far.
    package func writeCheckpoints(_ checkpoints: [StreamCheckpoint]) throws(PostgresError) {
        _ = try database.query(LedgerStatements.upsertCheckpoints, checkpoints.values)
    }
}

// MARK: - Credits

/// What adding a credit came to.
package enum CreditOutcome: Sendable, Equatable {
    /// Added now, under this number.
    case added(sequence: Int64)
    /// The same credit was added before, under this number.
    case repeated(sequence: Int64)
    /// Another amount stands under the same external id.
    case conflict(Money)
    /// There is no such tenant.
    case unknownTenant
    /// The balance could become larger than any that can be stored; nothing was added.
    case beyondLimit
}

extension LedgerStore {
    /// Adds a credit.
    ///
    /// The external id makes it happen once, however often it is asked for.
    ///
    /// - Parameters:
    ///   - amount: More than zero and storable.
    ///   - kind: Why, `topup` for instance.
    ///   - externalID: The payer's or operator's own number for it.
    package func addCredit(
        _ amount: Money, to tenant: TenantID, kind: String, externalID: String
    ) throws(PostgresError) -> CreditOutcome {
        precondition(amount > .zero && amount.isStorable, "amounts are checked where they enter")
        do throws(PostgresError) {
            let rows = try database.query(
                LedgerStatements.insertCredit,
                [
                    .text(tenant.description), .int(amount.nanodollars), .text(kind), .text(externalID),
                    .int(Money.limit.nanodollars),
                ])
            if rows.count == 1 { return .added(sequence: rows.int(0, 0)) }
        } catch {
            guard error.sqlState == "23505" else { throw error }
        }
        let rows = try database.query(
            LedgerStatements.readCredit, [.text(tenant.description), .text(externalID)])
        guard rows.count == 1 else {
            return try LedgerReader.standing(database, of: tenant) == nil ? .unknownTenant : .beyondLimit
        }
        let standing = Money(nanodollars: rows.int(0, 1))
        return standing == amount ? .repeated(sequence: rows.int(0, 0)) : .conflict(standing)
    }

    /// The credits that an image has not seen yet, in their order; a thousand at most.
    package func credits(
        of tenant: TenantID, after sequence: Int64
    ) throws(PostgresError) -> [(sequence: Int64, amount: Money)] {
        let rows = try database.query(
            LedgerStatements.readCreditsAfter, [.text(tenant.description), .int(sequence)])
        return (0..<rows.count).map { (rows.int($0, 0), Money(nanodollars: rows.int($0, 1))) }
    }
}

// MARK: - Owners

extension LedgerStore {
    /// Renews the lease under which this process owns its pending rows.
    package func renewOwner(_ owner: OwnerIdentity, leaseSeconds: Int) throws(PostgresError) {
        _ = try database.query(
            LedgerStatements.renewOwner,
            [
                .text(owner.name), .int(Int64(leaseSeconds)), .text(owner.host), .int(Int64(owner.pid)),
                .int(owner.processStart),
            ])
    }

    /// Gives the lease up: everything this process owned is settled.
    package func endOwner(_ owner: OwnerIdentity) throws(PostgresError) {
        _ = try database.query(LedgerStatements.endOwner, [.text(owner.name)])
    }
}

// MARK: - Sweeping

/// A pending row that nobody may be settling any more.
package struct OrphanedRow: Sendable {
    /// Who is billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// The epoch of its hold.
    package let epoch: Int64
    /// The number of its hold.
    package let rseq: Int64
    /// The amount held.
    package let hold: Money
    /// The process that inserted it.
    package let owner: String
    /// Whether that process's lease still runs.
    package let isLeased: Bool
    /// What is known of that process.
    package let process: OwnerIdentity?
    /// What the stream had delivered, and the price that applies.
    package let checkpoint: (usage: Usage, source: UsageSource, providerModelID: Int64, price: Price)?
}

extension LedgerStore {
    /// Pending rows since a trace id, that one included, the oldest first.
    package func pendingRows(since trace: TraceID, countMax: Int) throws(PostgresError) -> [OrphanedRow] {
        let rows = try database.query(
            LedgerStatements.readOrphans, [.text(trace.description), .int(Int64(countMax))])
        return (0..<rows.count).compactMap { row in
            guard let tenant = TenantID(rows.text(row, 0)), let trace = TraceID(rows.text(row, 1)) else {
                return nil
            }
            var process: OwnerIdentity?
            if let host = rows.optionalText(row, 7) {
                process = OwnerIdentity(
                    name: rows.text(row, 5), host: host, pid: Int32(rows.int(row, 8)),
                    processStart: rows.int(row, 9))
            }
            var checkpoint: (Usage, UsageSource, Int64, Price)?
            if let input = rows.optionalInt(row, 10), let source = UsageSource(rawValue: rows.text(row, 12)),
                let version = rows.optionalInt(row, 14)
            {
                let rates = Price.Rates(input: rows.int(row, 15), output: rows.int(row, 16))
                checkpoint = (
                    Usage(input: input, output: rows.int(row, 11)), source, rows.int(row, 13),
                    Price(version: version, rates: rates, perRequest: Money(nanodollars: rows.int(row, 17)))
                )
            }
            return OrphanedRow(
                tenant: tenant, trace: trace, epoch: rows.int(row, 2), rseq: rows.int(row, 3),
                hold: Money(nanodollars: rows.int(row, 4)), owner: rows.text(row, 5),
                isLeased: rows.bool(row, 6),
                process: process, checkpoint: checkpoint)
        }
    }

    /// Puts a voided row under a trace that has a hold and no row, so that it can never become pending.
    ///
    /// A trace so old that no row is inserted there any more needs none, and gets none.
    package func insertTombstone(
        tenant: TenantID, trace: TraceID, key: String?, epoch: Int64, rseq: Int64, period: Period, hold: Money
    ) throws(PostgresError) {
        do throws(PostgresError) {
            _ = try database.query(
                LedgerStatements.insertTombstone,
                [
                    .text(tenant.description), .text(trace.description), .text(orNull: key), .int(epoch),
                    .int(rseq), .int(Int64(period.day)), .int(hold.nanodollars),
                ])
        } catch {
            guard error.sqlState == PostgresError.closedTime else { throw error }
        }
    }

    /// Runs a job's work while holding its lock, or returns nil at once when another process holds it.
    ///
    /// The lock belongs to one connection: it ends with this process, however that ends.
    package func withJobLock<Value, Failure: Error>(
        _ job: String, _ work: () throws(Failure) -> Value
    ) throws -> Value? {
        let connection = try database.lease()
        guard try connection.query(LedgerStatements.tryJobLock, [.text(job)]).bool(0, 0) else { return nil }
        // When it cannot be released, its connection is broken, and the lock has ended with it.
        defer { _ = try? connection.query(LedgerStatements.releaseJobLock, [.text(job)]) }
        return try work()
    }

    /// How far a job has looked; nil when it never ran.
    package func watermark(of job: String) throws(PostgresError) -> TraceID? {
        let rows = try database.query(LedgerStatements.readWatermark, [.text(job)])
        return rows.count == 1 ? TraceID(rows.text(0, 0)) : nil
    }

    /// Notes how far a job has looked.
    package func setWatermark(of job: String, to trace: TraceID) throws(PostgresError) {
        _ = try database.query(LedgerStatements.writeWatermark, [.text(job), .text(trace.description)])
    }
}
