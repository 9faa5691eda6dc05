/// Why a call to Redis did not succeed.
///
/// What matters to a caller is whether the command may have been executed all the same: see `isOutcomeUnknown`.
package enum RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There was no connection, or no time left to send the command; it was not sent.
    case unreachable(String)
    /// The command was sent and no reply came: it may have been executed, or may still be.
    case outcomeUnknown(String)
    /// Redis replied with an error: a code in capitals, and words.
    case server(String)
    /// Too many threads are waiting for Redis already; the command was not sent.
    case overloaded
    /// The caller cannot build its arguments for this life of the server; the command was not sent.
    case unknownIdentity(RedisIdentity)

    /// Whether the command may have been executed although no success was reported.
    package var isOutcomeUnknown: Bool {
        if case .outcomeUnknown = self { true } else { false }
    }

    /// The code of a reply that is an error, such as `OOM` or `READONLY`; nil for every other error.
    package var code: Substring? {
        if case .server(let message) = self { message.prefix { $0 != " " } } else { nil }
    }

    /// The error in words for the log.
    package var description: String {
        switch self {
        case .unreachable(let reason): "Redis cannot be reached: \(reason)"
        case .outcomeUnknown(let reason): "Redis did not reply: \(reason)"
        case .server(let message): "Redis refused the command: \(message)"
        case .overloaded: "too many threads wait for Redis"
        case .unknownIdentity(let identity): "Redis is in an unknown life: run \(identity.runID)"
        }
    }

    /// What went wrong, without the judgement on what it means.
    var reason: String {
        switch self {
        case .unreachable(let reason), .outcomeUnknown(let reason), .server(let reason): reason
        case .overloaded, .unknownIdentity: description
        }
    }
}
