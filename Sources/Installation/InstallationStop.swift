import CLinux
import Glibc
import Threads

/// Stops an installation from outside.
package enum InstallationStop {
    /// How a stop came out.
    package enum Outcome: Sendable, Equatable {
        /// Nothing was running.
        case nothingRan
        /// The supervisor, this process, has ended, and everything with it.
        case stopped(pid: Int32)
    }

    /// Asks the supervisor to stop everything and waits until it has gone.
    ///
    /// The process is the one that the kernel names as the holder of the lock, so nobody else is ever signalled.
    package static func stop(_ layout: InstallationLayout, timeoutSeconds: Int = 120)
        throws(InstallationError) -> Outcome
    {
        guard let pid = InstallationLock.holder(of: layout) else { return .nothingRan }
        let process = pidfd_open(pid, 0)
        guard process >= 0 else {
            if errno == ESRCH { return .stopped(pid: pid) }
            throw .system(operation: "find", path: "process \(pid)", code: errno)
        }
        defer { close(process) }
        // Between the question and the descriptor the holder may have ended and its id gone to somebody else.
        guard InstallationLock.holder(of: layout) == pid else { return .stopped(pid: pid) }
        guard pidfd_send_signal(process, SIGTERM, nil, 0) == 0 || errno == ESRCH else {
            throw .system(operation: "stop", path: "process \(pid)", code: errno)
        }
        var entry = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
        let deadline = Deadline.after(seconds: timeoutSeconds)
        while poll(&entry, 1, deadline.remainingMilliseconds) != 1 {
            if deadline.isPast { throw .notStopped(pid: pid, seconds: timeoutSeconds) }
        }
        return .stopped(pid: pid)
    }
}
