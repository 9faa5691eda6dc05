package import Core
package import Postgres

/// All that reservations of a tenant are judged by, as of one moment at which nobody else can reserve.
package struct ReservationBasis: Sendable {
    /// Balance, counts, budgets and pending holds.
    ///
    /// The epoch is the ledger's own.
    package let snapshot: TenantSnapshot
    /// What was used of this minute; nil for a tenant without limits of a minute.
    package let minute: (requests: Int64, tokens: Int64, secondsLeft: Int64)?
}

/// A reservation that the ledger's sums admit.
package struct LedgerReservation: Sendable {
    /// Its row.
    package let row: PendingRow
    /// The tokens it is believed to take.
    package let tokens: Int64

    /// Creates a reservation.
    package init(row: PendingRow, tokens: Int64) {
        self.row = row
        self.tokens = tokens
    }
}

/// Reserves in the ledger itself, while Redis is lost: a batch is one database transaction.
///
/// Why no money is spent twice: each epoch of a tenant has one owner, an image or the ledger. A row is accepted only by a database
/// transaction that has locked the tenant's epoch, and only for a reservation of that epoch: shared by holds of an image, alone here.
/// Whoever begins an epoch waits for all rows of the one before and sums up in a later statement, which sees them. Here every batch
/// locks alone and sums up after it has the lock, so that one batch sees the rows of the other. The mode of the installation says who
/// shall reserve; what one process does that has not heard of it yet is decided by the epoch, like everything else.
package struct LedgerReserver: Sendable {
    /// What came of a batch.
    package enum Outcome: Sendable {
        /// All rows are durable, but for these.
        case reserved(except: [TraceID: LedgerWriter.Outcome])
        /// Reservations are to be made in Redis; nothing was done.
        case modeLeft
        /// Nothing was done, for sure.
        case failed(PostgresError)
        /// Perhaps the rows stand: the answer to COMMIT was lost.
        case unknown(PostgresError)
    }

    /// Session settings for its connections.
    ///
    /// A tenant's rows are found by their primary key, whatever is known of the table when a plan is made; and compiling a sum takes
    /// longer than summing up.
    package static let sessionSettings = ["jit": "off", "enable_seqscan": "off", "enable_bitmapscan": "off"]

    let database: PostgresPool
    private let owner: String

    /// Creates a reserver.
    ///
    /// - Parameters:
    ///   - database: Where to; a batch uses one connection.
    ///   - owner: The name of this process in the rows it inserts.
    package init(database: PostgresPool, owner: String) {
        self.database = database
        self.owner = owner
    }

    /// Reserves for some tenants at once.
    ///
    /// - Parameters:
    ///   - tenants: Each once, with the day and month in which the caller is. One that does not exist has no basis.
    ///   - decide: Says which reservations are to be made. Runs once, unless nothing is done anyway.
    package func reserve(
        for tenants: [(tenant: TenantID, period: Period)],
        deciding decide: ([TenantID: ReservationBasis]) -> [LedgerReservation]
    ) -> Outcome {
        var isCommitting = false
        var isCommitted = false
        do throws(PostgresError) {
            let transaction = try database.begin()
            guard try lock(tenants.map(\.tenant), transaction) else { return .modeLeft }
            var bases: [TenantID: ReservationBasis] = [:]
            for (tenant, period) in tenants {
                bases[tenant] = try basis(of: tenant, in: period, transaction)
            }
            let reservations = decide(bases)
            guard !reservations.isEmpty else { return .reserved(except: [:]) }
            let inserted = try insert(reservations, transaction)
            isCommitting = true
            try transaction.commit()
            isCommitted = true
            guard inserted < reservations.count else { return .reserved(except: [:]) }
            return .reserved(except: try others(reservations))
        } catch {
            // Until COMMIT is sent nothing stands, whatever became of the statements.
            let mayStand = isCommitted || isCommitting && error.isOutcomeUnknown
            return mayStand ? .unknown(error) : .failed(error)
        }
    }

    /// Takes the tenants' epochs for the ledger; false when reservations are made in Redis.
    func lock(
        _ tenants: [TenantID], _ transaction: borrowing DatabaseTransaction
    ) throws(PostgresError) -> Bool {
        let names = PostgresValue.textArray(tenants.map(\.description))
        _ = try transaction.query(LedgerStatements.lockEpochs, [names])
        // A statement of its own: what it sees is younger than the locks.
        _ = try transaction.query(LedgerStatements.takeEpochs, [names])
        return InstallationMode(try transaction.query(LedgerStatements.readQuotaMode, [])).isDatabase
    }

    /// What a tenant has, read after its epoch was locked; nil when there is no such tenant.
    func basis(
        of tenant: TenantID, in period: Period, _ transaction: borrowing DatabaseTransaction
    ) throws(PostgresError) -> ReservationBasis? {
        let sums = try transaction.query(
            LedgerStatements.readSnapshot, [.text(tenant.description), .int(Int64(period.day))])
        guard let snapshot = TenantSnapshot(sums) else { return nil }
        let limits = snapshot.limits
        let isLimited = limits.requestsPerMinute != nil || limits.tokensPerMinute != nil
        guard isLimited else { return ReservationBasis(snapshot: snapshot, minute: nil) }
        let used = try transaction.query(LedgerStatements.readMinute, [.text(tenant.description)])
        return ReservationBasis(
            snapshot: snapshot, minute: (used.int(0, 0), used.int(0, 1), used.int(0, 2)))
    }

    /// Inserts the rows, those with an idempotency key together with its claim; returns how many.
    private func insert(
        _ reservations: [LedgerReservation], _ transaction: borrowing DatabaseTransaction
    ) throws(PostgresError) -> Int {
        let plain = reservations.filter { $0.row.claim == nil }
        let claimed = reservations.filter { $0.row.claim != nil }
        var inserted = 0
        if !plain.isEmpty {
            let values = plain.map(\.row).values(owner: owner) + [.intArray(plain.map(\.tokens))]
            inserted += try transaction.query(LedgerStatements.insertReserved, values).affectedRows
        }
        if !claimed.isEmpty {
            let values = claimed.map(\.row).claimedValues(
                owner: owner, tokens: .intArray(claimed.map(\.tokens)))
            inserted += try transaction.query(LedgerStatements.insertClaimed, values).affectedRows
        }
        return inserted
    }

    /// What became of reservations that were not inserted.
    private func others(
        _ reservations: [LedgerReservation]
    ) throws(PostgresError) -> [TraceID: LedgerWriter.Outcome] {
        let batch = LedgerBatch(database: database, owner: owner, attemptsMax: 1)
        let rows = reservations.map(\.row)
        let outcomes = try batch.standing(rows.map { .pending($0) }, isRepeated: false)
        let standing = try LedgerReader.rows(database, rows.map { ($0.tenant, $0.trace) })
        var others: [TraceID: LedgerWriter.Outcome] = [:]
        for (row, outcome) in zip(rows, outcomes) {
            guard case .written = outcome else {
                others[row.trace] = outcome
                continue
            }
            // The same order again is answered as the first time, which had no number either.
            if let found = standing[row.trace], found.hold != row.hold {
                others[row.trace] = .standing(found)
            }
        }
        return others
    }
}
