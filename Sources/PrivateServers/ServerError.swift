import Glibc

/// Why a private server or another child process could not be run, in words for the operator.
package enum ServerError: Error, CustomStringConvertible {
    /// A program is not installed; with the Debian package that brings it.
    case missingProgram(String, package: String)
    /// A program ended, or did not become ready in time; with the end of its log.
    case notStarted(program: String, reason: String, logTail: String)
    /// A server refused its configuration; with its own message.
    case configuration(program: String, message: String)
    /// A system call failed: what was tried, on what, and its `errno`.
    case system(operation: String, path: String, code: Int32)
    /// Something about the machine or the directory is in the way, and what.
    case unusable(String)

    /// The error in words for the log.
    package var description: String {
        switch self {
        case .missingProgram(let name, let package):
            "\(name) is not installed: apt-get install \(package)"
        case .notStarted(let program, let reason, let logTail):
            "\(program) \(reason)" + (logTail.isEmpty ? "" : "; the end of its log:\n\(logTail)")
        case .configuration(let program, let message):
            "\(program) refused its configuration:\n\(message)"
        case .system(let operation, let path, let code):
            "cannot \(operation) \(path): \(String(cString: strerror(code)))"
        case .unusable(let reason):
            reason
        }
    }
}
