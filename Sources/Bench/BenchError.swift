package import PrivateServers

/// Why a load could not be run, in words for the person at the terminal.
package enum BenchError: Error, CustomStringConvertible {
    /// Nobody answers at an address.
    case unreachable(url: String, reason: String)
    /// The first request was not answered with 200.
    case refused(url: String, status: Int, message: String)
    /// The load generator could not be run.
    case server(ServerError)
    /// Something else, and what.
    case failed(String)

    /// The error in words.
    package var description: String {
        switch self {
        case .unreachable(let url, let reason): "\(url) does not answer: \(reason)"
        case .refused(let url, let status, let message): "\(url) answers \(status): \(message)"
        case .server(let error): error.description
        case .failed(let reason): reason
        }
    }
}
