import Glibc

/// Tells the person at the terminal what happens.
///
/// A supervisor in the background begins with the terminal of the command that started it, the waiter. Once everything runs it
/// turns to its log and lets the waiter go.
package final class Console {
    // The pipe to the waiter; closed once we are ready.
    private var waiter: Int32?

    /// What the waiter reads when all is well.
    static let readyMark: UInt8 = 1

    /// Creates a console.
    ///
    /// - Parameter waiter: The pipe to the command that waits for the start; nil in the foreground.
    package init(waiter: Int32? = nil) {
        self.waiter = waiter
    }

    /// Writes lines.
    func say(_ text: String) {
        // A terminal that has gone is no reason to stop.
        _ = SystemCalls.writeAll(text + "\n", to: 1)
    }

    /// Whether the waiter has gone before we were ready, which means that the start is no longer wanted.
    var isAbandoned: Bool {
        guard let waiter else { return false }
        var entry = pollfd(fd: waiter, events: 0, revents: 0)
        return poll(&entry, 1, 0) == 1 && Int32(entry.revents) & POLLERR != 0
    }

    /// Turns to the log, if there is a waiter, and lets it go.
    func ready(logPath: String) throws(InstallationError) {
        guard let waiter else { return }
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw .system(operation: "open", path: logPath, code: errno) }
        dup2(log, 1)
        dup2(log, 2)
        close(log)
        var mark = Self.readyMark
        // When it fails the waiter has left in this very moment, after everything was up.
        _ = write(waiter, &mark, 1)
        close(waiter)
        self.waiter = nil
    }
}
