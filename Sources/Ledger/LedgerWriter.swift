import Core
package import Postgres
package import Threads

/// Writes billing transactions in batches: what several workers want becomes one database transaction.
///
/// Whoever has gathered writes hands them over together; single ones wait for each other, and while one batch commits the next
/// gathers. So a busy second costs a few hundred commits and not thousands. A batch that fails as a whole is halved until the bad row fails alone; one whose COMMIT got no
/// answer is repeated, because every statement in it is idempotent.
package final class LedgerWriter: Sendable {
    /// What a worker asks for.
    package enum Write: Sendable {
        /// Insert a pending row.
        case pending(PendingRow)
        /// End a pending row.
        case settlement(RowSettlement)
        /// Raise what a pending row holds.
        case raise(HoldRaise)
    }

    /// What became of it.
    package enum Outcome: Sendable {
        /// Durable.
        case written
        /// Nothing was written: another row, or an ended one, stands under the trace; a hold to be raised is fenced off.
        case standing(StandingRow)
        /// Nothing was written: no row under the trace (for a pending row: its epoch is not current).
        case fenced
        /// Nothing was written: the idempotency key stands for another request.
        case keyTaken
        /// Nothing was written, for sure.
        case failed(PostgresError)
        /// Perhaps written: the answer to COMMIT was lost and repeating it failed too.
        case unknown(PostgresError)
    }

    /// Session settings for the writer's connection.
    ///
    /// Its statements join a few given rows to a large table by primary key. A plan made while the table was small would scan it, and be
    /// kept: only index lookups are allowed here, and the plan is made once.
    package static let sessionSettings = [
        "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off",
        "enable_mergejoin": "off", "jit": "off",
    ]

    /// The most bytes of answers in one database transaction, unless one alone has more.
    private static let answerBytesMax = 16 * 1_024 * 1_024

    private let lane: BatchLane<Write, Outcome>
    private let batch: LedgerBatch
    private let batchMax: Int

    /// Creates a writer.
    ///
    /// - Parameters:
    ///   - database: Where to; each batch that is being written uses a connection.
    ///   - owner: The name of this process in the rows it inserts.
    ///   - batchMax: The most rows in one database transaction.
    ///   - waitingMax: The most workers that may wait.
    ///   - attemptsMax: How often a batch with an unknown outcome is repeated.
    ///   - tasksWritten: Runs right after a batch with after-commit tasks has committed; must be brief.
    package init(
        database: PostgresPool, owner: String, batchMax: Int = 512, waitingMax: Int = 16_384,
        attemptsMax: Int = 3, tasksWritten: @escaping @Sendable () -> Void = {}
    ) {
        let batch = LedgerBatch(
            database: database, owner: owner, attemptsMax: attemptsMax, tasksWritten: tasksWritten)
        self.batch = batch
        self.batchMax = batchMax
        lane = BatchLane(itemsMax: batchMax, waitingMax: waitingMax) { batch.run($0) }
    }

    /// How many rows were written in one database transaction.
    package var batches: BatchFigures { batch.count.figures }

    /// Writes and waits until the outcome is known.
    package func write(_ write: Write) -> Outcome {
        lane.submit(write) ?? .failed(.poolExhausted)
    }

    /// Writes what somebody has gathered already, in one database transaction on a connection of its own, and returns the outcomes
    /// in order.
    ///
    /// - Parameter meanwhile: Runs when it has been sent, before the answer is waited for: any number of times.
    package func write(_ writes: [Write], meanwhile: () -> Void = {}) -> [Outcome] {
        let first = firstBatch(writes)
        guard first < writes.count else {
            return writes.isEmpty ? [] : batch.run(writes, meanwhile: meanwhile)
        }
        return batch.run(Array(writes[..<first]), meanwhile: meanwhile)
            + write(Array(writes[first...]), meanwhile: meanwhile)
    }

    /// How many writes make the first database transaction: all, unless they are too many or their answers too large.
    private func firstBatch(_ writes: [Write]) -> Int {
        let most = min(writes.count, batchMax)
        var bytes = 0
        for index in 0..<most {
            if case .settlement(let settlement) = writes[index] {
                bytes += settlement.answer?.body?.count ?? 0
            }
            if bytes > LedgerWriter.answerBytesMax, index > 0 { return index }
        }
        return most
    }
}

/// One batch: its statements, its retries and the outcome of each row.
struct LedgerBatch: Sendable {
    let database: PostgresPool
    let owner: String
    let attemptsMax: Int
    let count = BatchCount()
    /// How long after its begin a batch may still be halved: all writers of this process wait for it.
    var divideMilliseconds = 10_000
    var tasksWritten: @Sendable () -> Void = {}

    func run(_ writes: [LedgerWriter.Write], meanwhile: () -> Void = {}) -> [LedgerWriter.Outcome] {
        count.add(items: writes.count)
        return run(
            writes, wasUnknown: false, until: .after(milliseconds: divideMilliseconds), meanwhile: meanwhile)
    }

    private func run(
        _ writes: [LedgerWriter.Write], wasUnknown: Bool, until deadline: Deadline,
        meanwhile: () -> Void = {}
    ) -> [LedgerWriter.Outcome] {
        var wasUnknown = wasUnknown
        var attempt = 1
        while true {
            do throws(PostgresError) {
                if try commit(writes, meanwhile: meanwhile) { return writes.map { _ in .written } }
                // From here on rows may stand, whatever becomes of the question which.
                let isRepeated = wasUnknown
                wasUnknown = true
                return try standing(writes, isRepeated: isRepeated)
            } catch {
                wasUnknown = wasUnknown || error.isOutcomeUnknown
                guard wasUnknown, !error.isRefusal, attempt < attemptsMax else {
                    return divide(writes, after: error, wasUnknown: wasUnknown, until: deadline)
                }
                attempt += 1
            }
        }
    }

    /// Halves a batch that was refused, so that one bad row fails alone.
    private func divide(
        _ writes: [LedgerWriter.Write], after error: PostgresError, wasUnknown: Bool, until deadline: Deadline
    ) -> [LedgerWriter.Outcome] {
        guard writes.count > 1, error.isRefusal, !deadline.isPast else {
            return writes.map { _ in wasUnknown ? .unknown(error) : .failed(error) }
        }
        let middle = writes.count / 2
        return run(Array(writes[..<middle]), wasUnknown: wasUnknown, until: deadline)
            + run(Array(writes[middle...]), wasUnknown: wasUnknown, until: deadline)
    }

    /// Commits the batch; whether every row was inserted or ended by it.
    private func commit(
        _ writes: [LedgerWriter.Write], meanwhile: () -> Void
    ) throws(PostgresError) -> Bool {
        var pending: [PendingRow] = []
        var claimed: [PendingRow] = []
        var settlements: [RowSettlement] = []
        var raises: [HoldRaise] = []
        for write in writes {
            switch write {
            case .pending(let row) where row.claim != nil: claimed.append(row)
            case .pending(let row): pending.append(row)
            case .settlement(let settlement): settlements.append(settlement)
            case .raise(let raise): raises.append(raise)
            }
        }
        var statements: [(Statement, [PostgresValue])] = []
        if !pending.isEmpty {
            statements.append((LedgerStatements.insertPending, pending.values(owner: owner)))
        }
        if !claimed.isEmpty {
            statements.append((LedgerStatements.insertClaimed, claimed.claimedValues(owner: owner)))
        }
        if !raises.isEmpty { statements.append((LedgerStatements.raiseHolds, raises.values)) }
        if !settlements.isEmpty { statements.append((LedgerStatements.settle, settlements.values)) }
        let counted = statements.count
        let overruns = settlements.filter { $0.overrun > .zero }
        if !overruns.isEmpty {
            statements.append((LedgerStatements.insertHouseEntries, overruns.overrunValues))
        }
        let streamed = settlements.filter { $0.hasCheckpoint }
        if !streamed.isEmpty { statements.append((LedgerStatements.deleteCheckpoints, streamed.nameValues)) }
        let tasked = settlements.filter { !$0.tasks.isEmpty }
        if !tasked.isEmpty { statements.append((LedgerStatements.insertSettledTasks, tasked.taskValues)) }

        if let answers = settlements.answerValues {
            statements.append((LedgerStatements.insertAnswers, answers))
        }

        let results = try database.transaction(statements, meanwhile: meanwhile).prefix(counted)
        if !tasked.isEmpty { tasksWritten() }
        // Each statement names a row once at most.
        return results.reduce(0) { $0 + $1.affectedRows } == writes.count
    }

    /// What stands in the ledger after a batch that did not find everything as it should be.
    ///
    /// - Parameter isRepeated: Whether an earlier try may still be on its way. It finds another epoch no more current than this one did,
    ///   but a key that was taken may be free by then.
    func standing(
        _ writes: [LedgerWriter.Write], isRepeated: Bool
    ) throws(PostgresError) -> [LedgerWriter.Outcome] {
        let rows = try LedgerReader.rows(database, writes.map { ($0.tenant, $0.trace) })
        let taken = try LedgerReader.takenKeys(
            database, writes.compactMap { rows[$0.trace] == nil ? $0.claimed : nil })
        return writes.map { write in
            guard let row = rows[write.trace] else {
                guard taken.contains(write.trace) else { return .fenced }
                return isRepeated ? .unknown(.timeout) : .keyTaken
            }
            return write.isFulfilled(by: row, owner: owner) ? .written : .standing(row)
        }
    }
}

extension PostgresError {
    /// Whether something in the statement itself was not accepted.
    fileprivate var isRefusal: Bool {
        switch self {
        case .server, .invalidValue: true
        default: false
        }
    }
}

extension LedgerWriter.Write {
    var trace: TraceID {
        switch self {
        case .pending(let row): row.trace
        case .settlement(let settlement): settlement.trace
        case .raise(let raise): raise.trace
        }
    }

    var tenant: TenantID {
        switch self {
        case .pending(let row): row.tenant
        case .settlement(let settlement): settlement.tenant
        case .raise(let raise): raise.tenant
        }
    }

    /// The row that is to be inserted together with a claim.
    var claimed: PendingRow? {
        guard case .pending(let row) = self, row.claim != nil else { return nil }
        return row
    }

    /// Whether the row that stands is what this write asked for: then an earlier try of it got through.
    func isFulfilled(by row: StandingRow, owner: String) -> Bool {
        switch self {
        case .pending(let wanted):
            row.status == .pending && row.owner == owner && row.epoch == wanted.epoch
                && row.rseq == wanted.rseq
        case .settlement(let wanted):
            row.status == wanted.status && row.charge == wanted.charge
        case .raise(let wanted):
            row.status == .pending && row.hold >= wanted.amount
        }
    }
}
