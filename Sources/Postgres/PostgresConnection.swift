import CLibPQ
import Glibc
import Threads

/// One connection to PostgreSQL, with a deadline on everything that waits for the server.
///
/// After a timeout or a broken connection it is of no more use: `isBroken` tells, and its owner drops it.
final class PostgresConnection: @unchecked Sendable {
    // Only the thread that holds the lease of a connection uses it; handing it over goes through the pool's mutex.
    private let handle: OpaquePointer
    private let answerTimeoutMilliseconds: Int
    private var prepared: Set<String> = []
    private var parameters = ParameterBuffer()

    /// Whether the connection must not be used again.
    private(set) var isBroken = false
    /// Whether the last call sent the statement itself, so that it may have been executed.
    private(set) var hasSent = false
    /// Whether it is broken because the server did not answer in time.
    private(set) var hasTimedOut = false

    private init(handle: OpaquePointer, answerTimeoutMilliseconds: Int) {
        self.handle = handle
        self.answerTimeoutMilliseconds = answerTimeoutMilliseconds
    }

    deinit {
        PQfinish(handle)
    }

    /// Whether a database transaction is open, failed or not.
    var isInTransaction: Bool {
        let status = PQtransactionStatus(handle)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }

    /// The socket, for waiting on it together with other things.
    var descriptor: Int32 { PQsocket(handle) }

    /// Whether an idle connection is still one: a server that has gone says so, or closes it, without being asked.
    ///
    /// Anything else that it says unasked, such as a changed setting, is rare enough to connect again for.
    func isAlive() -> Bool {
        guard !isBroken else { return false }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        isBroken = poll(&entry, 1, 0) != 0
        return !isBroken
    }

    /// Receives what has arrived without being asked for: notifications, or the end of the connection.
    func receive() {
        if PQconsumeInput(handle) == 0 || PQstatus(handle) != CONNECTION_OK { isBroken = true }
    }

    /// Runs a statement and returns its rows.
    func query(_ statement: Statement, _ values: [PostgresValue]) throws(PostgresError) -> Rows {
        hasSent = false
        parameters.removeAll()
        let range = try parameters.append(values)
        let deadline = Deadline.after(milliseconds: answerTimeoutMilliseconds)
        try prepare(statement, deadline)
        try send(statement, range)
        return try answer(deadline)
    }

    /// Runs SQL without parameters, several statements if need be, and returns the rows of the last.
    @discardableResult
    func execute(_ sql: String) throws(PostgresError) -> Rows {
        hasSent = true
        guard PQsendQuery(handle, sql) == 1 else { throw lost() }
        return try answer(.after(milliseconds: answerTimeoutMilliseconds))
    }

    /// Commits the open database transaction.
    func commit() throws(PostgresError) {
        try Self.checkCommitted(execute("COMMIT"))
    }

    /// Rolls back the database transaction that is open, if one is; a connection on which that fails is broken.
    func rollBackIfNeeded() {
        guard !isBroken, isInTransaction else { return }
        do throws(PostgresError) {
            try execute("ROLLBACK")
        } catch {
            isBroken = true
        }
    }

    /// Runs statements in a database transaction of their own, in one round trip, and returns the rows of each.
    ///
    /// When it returns, the commit has been acknowledged. A refused statement or commit rolls everything back. `meanwhile` runs
    /// when all is sent, before the answers are waited for.
    func transaction(
        _ statements: [(Statement, [PostgresValue])], meanwhile: () -> Void
    ) throws(PostgresError) -> [Rows] {
        hasSent = false
        precondition(!isInTransaction, "a database transaction is open already")
        parameters.removeAll()
        var ranges: [Range<Int>] = []
        for (_, values) in statements { ranges.append(try parameters.append(values)) }
        let deadline = Deadline.after(milliseconds: answerTimeoutMilliseconds)
        for (statement, _) in statements { try prepare(statement, deadline) }
        guard PQenterPipelineMode(handle) == 1 else { throw lost() }
        for ((statement, _), range) in zip(statements, ranges) { try send(statement, range) }
        // What stands before a synchronisation point is one database transaction, committed before that is answered.
        guard PQpipelineSync(handle) == 1 else { throw lost() }
        meanwhile()
        return try pipelineAnswers(statements.count, deadline)
    }

    /// Takes the next notification that has arrived; nil when there is none.
    func notification() -> (channel: String, payload: String)? {
        guard let notification = PQnotifies(handle) else { return nil }
        defer { PQfreemem(notification) }
        return (String(cString: notification.pointee.relname), String(cString: notification.pointee.extra))
    }

    /// An identifier in quotes, for the few statements that cannot have it as a parameter.
    func quoted(identifier: String) -> String {
        guard let quoted = PQescapeIdentifier(handle, identifier, identifier.utf8.count) else {
            preconditionFailure("not an identifier: \(identifier)")
        }
        defer { PQfreemem(quoted) }
        return String(cString: quoted)
    }
}

// MARK: - Connecting

extension PostgresConnection {
    /// Connects to the first host that accepts.
    static func open(_ configuration: PostgresConfiguration) throws(PostgresError) -> PostgresConnection {
        var reason = "no host"
        for target in try PostgresHosts(configuration).targets {
            do throws(PostgresError) {
                let deadline = Deadline.after(milliseconds: configuration.connectTimeoutMilliseconds)
                return try connect(target, configuration, deadline)
            } catch .unreachable(let message) {
                reason = message
            }
        }
        throw .unreachable(reason)
    }

    private static func connect(
        _ target: [(keyword: String, value: String)], _ configuration: PostgresConfiguration,
        _ deadline: Deadline
    ) throws(PostgresError) -> PostgresConnection {
        let keywords = target.map { strdup($0.keyword) }
        let values = target.map { strdup($0.value) }
        defer { for string in keywords + values { free(string) } }
        let handle = PQconnectStartParams(
            keywords.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 0)
        guard let handle else { throw .unreachable("out of memory") }
        let connection = PostgresConnection(
            handle: handle, answerTimeoutMilliseconds: configuration.answerTimeoutMilliseconds)
        try connection.finishConnecting(deadline)
        return connection
    }

    private func finishConnecting(_ deadline: Deadline) throws(PostgresError) {
        guard PQstatus(handle) != CONNECTION_BAD else { throw .unreachable(errorMessage) }
        var state = PGRES_POLLING_WRITING
        while state != PGRES_POLLING_OK {
            if state == PGRES_POLLING_FAILED { throw .unreachable(errorMessage) }
            let events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard wait(Int16(events), deadline) else { throw .unreachable("no answer in time") }
            state = PQconnectPoll(handle)
        }
        PQsetnonblocking(handle, 1)
        PQsetNoticeReceiver(handle, { _, _ in }, nil)
    }
}

// MARK: - Sending and receiving

extension PostgresConnection {
    private func prepare(_ statement: Statement, _ deadline: Deadline) throws(PostgresError) {
        guard !prepared.contains(statement.name) else { return }
        guard PQsendPrepare(handle, statement.name, statement.sql, 0, nil) == 1 else { throw lost() }
        _ = try answer(deadline)
        prepared.insert(statement.name)
    }

    private func send(_ statement: Statement, _ range: Range<Int>) throws(PostgresError) {
        hasSent = true
        let isSent = parameters.withParameters(range) { values, lengths, formats in
            PQsendQueryPrepared(handle, statement.name, Int32(range.count), values, lengths, formats, 0)
        }
        guard isSent == 1 else { throw lost() }
    }

    /// Receives everything that the server has to say to what was sent; the last result counts, or the first error.
    private func answer(_ deadline: Deadline) throws(PostgresError) -> Rows {
        var last: Rows?
        var refusal: PostgresError?
        while let result = try nextResult(deadline) {
            if let error = error(in: result) {
                PQclear(result)
                refusal = refusal ?? error
                if isBroken { break }
            } else {
                last = Rows(result)
            }
        }
        if let refusal { throw refusal }
        guard let last else { throw lost() }
        return last
    }

    /// Receives the answers to a pipeline up to its synchronisation point, and leaves pipeline mode.
    private func pipelineAnswers(_ count: Int, _ deadline: Deadline) throws(PostgresError) -> [Rows] {
        var rows: [Rows] = []
        rows.reserveCapacity(count)
        var refusal: PostgresError?
        do throws(PostgresError) {
            var isSynchronised = false
            while !isSynchronised {
                // Each statement's results end with nil.
                guard let result = try nextResult(deadline) else {
                    if PQstatus(handle) != CONNECTION_OK { throw lost() }
                    continue
                }
                let status = PQresultStatus(result)
                isSynchronised = status == PGRES_PIPELINE_SYNC
                if isSynchronised || status == PGRES_PIPELINE_ABORTED {
                    PQclear(result)
                } else if let error = error(in: result) {
                    PQclear(result)
                    refusal = refusal ?? error
                } else {
                    rows.append(Rows(result))
                }
                if isBroken { break }
            }
        } catch {
            // What was refused stays refused, even if the connection broke afterwards.
            throw refusal ?? error
        }
        if PQexitPipelineMode(handle) != 1 { isBroken = true }
        if let refusal { throw refusal }
        precondition(rows.count == count, "a pipeline must answer each statement")
        return rows
    }

    /// Waits for the next result while sending what has not been sent yet; nil when a statement is through.
    private func nextResult(_ deadline: Deadline) throws(PostgresError) -> OpaquePointer? {
        while true {
            let unsent = PQflush(handle)
            if unsent < 0 { throw lost() }
            if PQisBusy(handle) == 0 { return PQgetResult(handle) }
            guard wait(Int16(unsent == 1 ? POLLIN | POLLOUT : POLLIN), deadline) else {
                isBroken = true
                hasTimedOut = true
                throw hasSent ? .timeout : .unreachable("no answer in time")
            }
            if PQconsumeInput(handle) == 0 { throw lost() }
        }
    }

    /// What a result says went wrong; a fatal error, or one that libpq made up, has ended the connection.
    private func error(in result: OpaquePointer) -> PostgresError? {
        let status = PQresultStatus(result)
        let isSuccess =
            status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY
            || status == PGRES_PIPELINE_SYNC
        guard !isSuccess else { return nil }
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        let message = field("M") ?? Self.trimmed(PQresultErrorMessage(result))
        guard let sqlState = field("C"), let severity = field("V"), severity == "ERROR" else {
            isBroken = true
            return hasSent ? .connectionLost(message) : .unreachable(message)
        }
        // A plan that no longer fits the schema, an unknown prepared statement, a primary that has become a standby: the
        // next connection will do better.
        if ["0A000", "26000", "25006"].contains(sqlState) { isBroken = true }
        return .server(sqlState: sqlState, message: message, constraint: field("n"))
    }

    private func wait(_ events: Int16, _ deadline: Deadline) -> Bool {
        while true {
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, deadline.remainingMilliseconds)
            if count > 0 { return true }
            if deadline.isPast { return false }
        }
    }

    private func lost() -> PostgresError {
        isBroken = true
        return hasSent ? .connectionLost(errorMessage) : .unreachable(errorMessage)
    }

    private var errorMessage: String { Self.trimmed(PQerrorMessage(handle)) }

    private static func trimmed(_ message: UnsafePointer<CChar>?) -> String {
        guard let message else { return "" }
        return String(cString: message).split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    /// A commit of a database transaction that had failed is answered with `ROLLBACK`, which is no error to libpq.
    private static func checkCommitted(_ rows: Rows) throws(PostgresError) {
        guard rows.commandTag == "COMMIT" else {
            throw .server(
                sqlState: "25P02", message: "the database transaction had failed and was rolled back",
                constraint: nil)
        }
    }
}
