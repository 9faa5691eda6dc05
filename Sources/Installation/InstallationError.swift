package import PrivateServers

/// Why a private installation could not be started, stopped or read, in words for the person at the terminal.
package enum InstallationError: Error, CustomStringConvertible {
    /// Somebody runs the installation already; the process, when the system tells.
    case isRunning(directory: String, pid: Int32?)
    /// A port is used by another program; with the option that chooses another.
    case portTaken(port: UInt16, option: String)
    /// A port may not be used by this user.
    case portForbidden(port: UInt16, option: String)
    /// The directory cannot hold an installation, and why.
    case directoryUnusable(path: String, reason: String)
    /// What was asked for does not fit together.
    case wrongOptions(String)
    /// A file that belongs to Tollgate is not where it should be.
    case fileMissing(path: String, hint: String)
    /// One of our own commands failed; with what it printed.
    case commandFailed(command: String, output: String)
    /// Everything was started and does not answer; with the reason and the end of a log.
    case notReady(reason: String, logTail: String)
    /// The installation does not stop.
    case notStopped(pid: Int32, seconds: Int)
    /// The person at the terminal, or the system, asked to stop before everything was up.
    case interrupted
    /// A server could not be run.
    case server(ServerError)
    /// A system call failed: what was tried, on what, and its `errno`.
    case system(operation: String, path: String, code: Int32)

    package var description: String {
        switch self {
        case .isRunning(let directory, let pid):
            "the installation in \(directory) runs already\(pid.map { " (process \($0))" } ?? ""): "
                + "see `tollgate status`, stop it with `tollgate down`"
        case .portTaken(let port, let option):
            "port \(port) is taken by another program: stop that one, or choose another port with \(option)"
        case .portForbidden(let port, let option):
            "port \(port) needs root: choose one above 1023 with \(option)"
        case .directoryUnusable(let path, let reason):
            "\(path) cannot hold an installation: \(reason)"
        case .wrongOptions(let reason):
            reason
        case .fileMissing(let path, let hint):
            "\(path) is missing: \(hint)"
        case .commandFailed(let command, let output):
            "`\(command)` failed:\n\(output)"
        case .notReady(let reason, let logTail):
            logTail.isEmpty ? reason : "\(reason); the end of its log:\n\(logTail)"
        case .notStopped(let pid, let seconds):
            "the installation (process \(pid)) has not stopped within \(seconds) s"
        case .interrupted:
            "stopped before everything was up"
        case .server(let error):
            error.description
        case .system(let operation, let path, let code):
            "cannot \(operation) \(path): \(SystemCalls.message(code))"
        }
    }
}
