/// Why a call to PostgreSQL did not succeed.
///
/// What matters to a caller is whether the statement may have been executed all the same: see `isOutcomeUnknown`.
package enum PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No connection could be made; nothing was sent.
    case unreachable(String)
    /// All connections were busy for too long, or too many threads were waiting already; nothing was sent.
    case poolExhausted
    /// The connection broke after the statement was sent: it may have been executed.
    case connectionLost(String)
    /// No answer came in time, and the connection was given up: the statement may have been executed.
    case timeout
    /// The server refused the statement: it had no effect, and neither has what the same database transaction did before it.
    case server(sqlState: String, message: String, constraint: String?)
    /// A value cannot be a parameter, and why; nothing was sent.
    case invalidValue(String)

    /// Whether the statement may have been executed although no success was reported.
    package var isOutcomeUnknown: Bool {
        switch self {
        case .connectionLost, .timeout: true
        case .unreachable, .poolExhausted, .server, .invalidValue: false
        }
    }

    /// The SQLSTATE of a refused statement; nil for every other error.
    package var sqlState: String? {
        if case .server(let sqlState, _, _) = self { sqlState } else { nil }
    }

    /// The error in words for the log.
    package var description: String {
        switch self {
        case .unreachable(let reason): "PostgreSQL cannot be reached: \(reason)"
        case .poolExhausted: "all connections to PostgreSQL are busy"
        case .connectionLost(let reason): "the connection to PostgreSQL was lost: \(reason)"
        case .timeout: "PostgreSQL did not answer in time"
        case .server(let sqlState, let message, _):
            "PostgreSQL refused the statement: \(message) (\(sqlState))"
        case .invalidValue(let reason): "not a value for PostgreSQL: \(reason)"
        }
    }
}
