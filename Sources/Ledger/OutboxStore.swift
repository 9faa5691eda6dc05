package import Core
package import Postgres

/// A task that was claimed: nobody else does it for some time.
package struct OutboxTask: Sendable {
    /// Its number.
    package let id: Int64
    /// The task.
    package let task: AfterCommitTask
    /// How often it was claimed, this time included.
    package let attempts: Int
    /// The time zone of its tenant; nil when it has none.
    package let timeZone: String?
    /// When it was written, in Unix seconds.
    package let createdAt: Int64
}

/// A task that could not be done.
package struct PutBackTask: Sendable {
    /// The task.
    package let task: OutboxTask
    /// After how many seconds it is due again; nil when it is given up.
    package let delaySeconds: Int?
    /// Why; nil when it was not even tried, which then does not count.
    package let error: String?

    /// Creates the putting back of a task.
    package init(_ task: OutboxTask, delaySeconds: Int?, error: String?) {
        self.task = task
        self.delaySeconds = delaySeconds
        self.error = error
    }
}

/// How the outbox stands.
package struct OutboxFigures: Sendable, Equatable {
    /// Tasks to be done.
    package let open: Int64
    /// Those of them that are due now.
    package let due: Int64
    /// How long ago the oldest of them was written, in seconds; 0 when there is none.
    package let oldestSeconds: Int64
    /// Tasks that were given up.
    package let dead: Int64
}

/// Tasks that database transactions have written, until they are done.
package struct OutboxStore: Sendable {
    private let database: PostgresPool

    /// Creates the outbox of a database.
    package init(database: PostgresPool) {
        self.database = database
    }

    /// Writes tasks that no request brings; returns how many there were not yet.
    @discardableResult
    package func write(_ tasks: [AfterCommitTask]) throws(PostgresError) -> Int {
        guard !tasks.isEmpty else { return 0 }
        return try database.query(LedgerStatements.insertTasks, tasks.values).affectedRows
    }

    /// Claims tasks that are due, in the order in which they were written.
    ///
    /// - Parameters:
    ///   - tenant: Whose; nil for all.
    ///   - seconds: For how long nobody else may claim them.
    package func claim(
        countMax: Int, forSeconds seconds: Int, of tenant: TenantID? = nil
    ) throws(PostgresError) -> [OutboxTask] {
        let rows = try database.query(
            LedgerStatements.claimTasks,
            [.int(Int64(countMax)), .int(Int64(seconds)), .text(orNull: tenant?.description)])
        return (0..<rows.count).compactMap { row in
            // A kind that this build does not know is left to the one that wrote it.
            guard let kind = TaskKind(rawValue: rows.text(row, 1)) else { return nil }
            let task = AfterCommitTask(
                kind: kind, key: rows.text(row, 2),
                tenant: rows.optionalText(row, 3).flatMap { TenantID($0) },
                payload: rows.text(row, 4))
            return OutboxTask(
                id: rows.int(row, 0), task: task, attempts: Int(rows.int(row, 5)),
                timeZone: rows.optionalText(row, 6), createdAt: rows.int(row, 7))
        }.sorted { $0.id < $1.id }
    }

    /// Ends a batch: what is done, what comes of it, and what is put back; all or nothing.
    package func end(
        done: [OutboxTask], following: [AfterCommitTask] = [], putBack: [PutBackTask] = []
    ) throws(PostgresError) {
        var statements: [(Statement, [PostgresValue])] = []
        let kept = done.filter(\.task.kind.isKept)
        let removed = done.filter { !$0.task.kind.isKept }
        if !kept.isEmpty { statements.append((LedgerStatements.keepTasks, [.intArray(kept.map(\.id))])) }
        if !removed.isEmpty {
            statements.append((LedgerStatements.removeTasks, [.intArray(removed.map(\.id))]))
        }
        if !putBack.isEmpty { statements.append((LedgerStatements.putBackTasks, putBack.values)) }
        if !following.isEmpty { statements.append((LedgerStatements.insertTasks, following.values)) }
        guard !statements.isEmpty else { return }
        _ = try database.transaction(statements)
    }

    /// Removes a task that somebody has done who had not claimed it.
    package func remove(_ task: AfterCommitTask) throws(PostgresError) {
        _ = try database.query(LedgerStatements.removeTask, [.text(task.kind.rawValue), .text(task.key)])
    }

    /// Makes tasks that were given up due once more; returns how many.
    package func revive(of tenant: TenantID? = nil) throws(PostgresError) -> Int {
        try database.query(LedgerStatements.reviveTasks, [.text(orNull: tenant?.description)]).affectedRows
    }

    /// How the outbox stands.
    ///
    /// - Parameter tenant: Whose due tasks are counted; nil for all.
    package func figures(of tenant: TenantID? = nil) throws(PostgresError) -> OutboxFigures {
        let rows = try database.query(LedgerStatements.readOutbox, [.text(orNull: tenant?.description)])
        return OutboxFigures(
            open: rows.int(0, 0), due: rows.int(0, 1), oldestSeconds: rows.int(0, 2), dead: rows.int(0, 3))
    }
}

extension [AfterCommitTask] {
    fileprivate var values: [PostgresValue] {
        [
            .textArray(map(\.kind.rawValue)), .textArray(map(\.key)),
            .optionalTextArray(map { $0.tenant?.description }), .textArray(map(\.payload)),
        ]
    }
}

extension [PutBackTask] {
    fileprivate var values: [PostgresValue] {
        [
            .intArray(map(\.task.id)), .intArray(map { Int64($0.task.attempts) }),
            .optionalIntArray(map { $0.delaySeconds.map { Int64($0) } }), .optionalTextArray(map(\.error)),
            .intArray(map { Int64($0.error == nil ? $0.task.attempts - 1 : $0.task.attempts) }),
        ]
    }
}
