import Threads

/// Connections to one PostgreSQL, opened as they are needed and leased one at a time, the warmest first.
///
/// Every call is bounded: by the lease timeout while others use all connections, by the connect timeout, and by the answer
/// timeout. After a failed connect, further ones fail at once for a moment, so that threads do not pile up behind a dead server.
package final class PostgresPool: Sendable {
    private enum Grant {
        case connection(PostgresConnection)
        /// The right to open one.
        case slot
    }

    private final class Waiter: @unchecked Sendable {
        // `grant` is only touched under the pool's mutex.
        let signal = Signal()
        var grant: Grant?
    }

    private struct State {
        var idle: [PostgresConnection] = []
        var openCount = 0
        var waiters: [Waiter] = []
        var failure: (reason: String, until: Deadline)?
    }

    /// How long no other connect is tried after one that failed.
    private static let backOffMilliseconds = 100

    private let configuration: PostgresConfiguration
    private let state = Locked(State())

    /// Creates a pool; nothing is connected yet.
    package init(_ configuration: PostgresConfiguration) {
        precondition(configuration.connectionsMax > 0 && configuration.waitingMax >= 0)
        self.configuration = configuration
    }

    /// Runs one statement, which commits by itself.
    package func query(
        _ statement: Statement, _ values: [PostgresValue] = []
    ) throws(PostgresError) -> Rows {
        try retryingUnsent { connection throws(PostgresError) in try connection.query(statement, values) }
    }

    /// Runs statements in a database transaction of their own, in one round trip, and returns the rows of each.
    ///
    /// When it returns, the commit has been acknowledged; otherwise the error tells whether the outcome is known.
    ///
    /// - Parameter meanwhile: Runs when they have been sent, before the answers are waited for: once, twice when they had to be
    ///   sent again, or never when they could not be.
    package func transaction(
        _ statements: [(Statement, [PostgresValue])], meanwhile: () -> Void = {}
    ) throws(PostgresError) -> [Rows] {
        try retryingUnsent { connection throws(PostgresError) in
            try connection.transaction(statements, meanwhile: meanwhile)
        }
    }

    /// Begins a database transaction, which is rolled back unless it is committed.
    package func begin(
        isolation: DatabaseTransaction.Isolation = .readCommitted
    ) throws(PostgresError) -> DatabaseTransaction {
        var isLast = false
        while true {
            let lease = try lease()
            do throws(PostgresError) {
                try lease.connection.execute("BEGIN ISOLATION LEVEL \(isolation.rawValue)")
                return DatabaseTransaction(lease)
            } catch .connectionLost where !isLast {
                // Beginning twice is harmless: the first one ended with its connection.
                isLast = true
            }
        }
    }

    /// Leases a connection.
    package func lease() throws(PostgresError) -> PostgresLease {
        let deadline = Deadline.after(milliseconds: configuration.leaseTimeoutMilliseconds)
        while true {
            switch try take(deadline) {
            case .connection(let connection):
                if connection.isAlive() { return PostgresLease(pool: self, connection: connection) }
                giveUpSlot()
            case .slot:
                return PostgresLease(pool: self, connection: try open())
            }
        }
    }

    /// Closes the connections that nobody uses.
    package func closeIdle() {
        let closed = state.withLock { state in
            let idle = state.idle
            state.idle.removeAll()
            state.openCount -= idle.count
            return idle
        }
        // Closed here, outside the lock.
        withExtendedLifetime(closed) {}
    }

    /// Takes a connection back from a lease.
    func giveBack(_ connection: PostgresConnection) {
        connection.rollBackIfNeeded()
        guard !connection.isBroken else { return giveUpSlot() }
        let waiter: Waiter? = state.withLock { state in
            guard !state.waiters.isEmpty else {
                state.idle.append(connection)
                return nil
            }
            let waiter = state.waiters.removeFirst()
            waiter.grant = .connection(connection)
            return waiter
        }
        waiter?.signal.wake()
    }

    /// Runs `body`, and once more on another connection when the first broke before the statement itself was sent.
    private func retryingUnsent<Outcome>(
        _ body: (PostgresConnection) throws(PostgresError) -> Outcome
    ) throws(PostgresError) -> Outcome {
        let first = try lease()
        do throws(PostgresError) {
            return try body(first.connection)
        } catch .unreachable where !first.connection.hasTimedOut {
            // Nothing was sent; the first connection goes back before its successor is leased.
        }
        first.release()
        let second = try lease()
        return try body(second.connection)
    }

    private func take(_ deadline: Deadline) throws(PostgresError) -> Grant {
        let waiter = Waiter()
        let (isAccepted, immediate): (Bool, Grant?) = state.withLock { state in
            if let connection = state.idle.popLast() { return (true, .connection(connection)) }
            if state.openCount < configuration.connectionsMax {
                state.openCount += 1
                return (true, .slot)
            }
            guard state.waiters.count < configuration.waitingMax else { return (false, nil) }
            state.waiters.append(waiter)
            return (true, nil)
        }
        guard isAccepted else { throw .poolExhausted }
        if let immediate { return immediate }
        _ = waiter.signal.wait(until: deadline)
        let grant = state.withLock { state in
            if waiter.grant == nil { state.waiters.removeAll { $0 === waiter } }
            return waiter.grant
        }
        guard let grant else { throw .poolExhausted }
        return grant
    }

    /// Opens a connection in a slot that was taken; the slot is given up when that fails.
    private func open() throws(PostgresError) -> PostgresConnection {
        do throws(PostgresError) {
            if let failure = state.withLock({ $0.failure }), !failure.until.isPast {
                throw .unreachable(failure.reason)
            }
            return try connect()
        } catch {
            giveUpSlot()
            throw error
        }
    }

    private func connect() throws(PostgresError) -> PostgresConnection {
        do throws(PostgresError) {
            let connection = try PostgresConnection.open(configuration)
            state.withLock { $0.failure = nil }
            return connection
        } catch .unreachable(let reason) {
            let until = Deadline.after(milliseconds: Self.backOffMilliseconds)
            state.withLock { $0.failure = (reason, until) }
            throw .unreachable(reason)
        }
    }

    /// Gives up the right to one connection, to the thread that has waited longest.
    private func giveUpSlot() {
        let waiter: Waiter? = state.withLock { state in
            guard !state.waiters.isEmpty else {
                state.openCount -= 1
                return nil
            }
            let waiter = state.waiters.removeFirst()
            waiter.grant = .slot
            return waiter
        }
        waiter?.signal.wake()
    }
}
