import CLinux
import Glibc
import Threads

/// Receives the signals that end a supervisor.
///
/// Every signal is blocked in all threads, so that none interrupts a system call anywhere, and taken here when it suits.
package struct SignalWatch: Sendable {
    /// Blocks the signals; call first thing in the main thread.
    package init() {
        WorkerThread.blockAllSignals()
    }

    /// Waits at most this long; returns true when we were asked to end.
    ///
    /// The end of a child process cuts the wait short.
    func isEndWanted(withinMilliseconds milliseconds: Int) -> Bool {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&signals, signal) }
        var time = timespec(tv_sec: milliseconds / 1_000, tv_nsec: milliseconds % 1_000 * 1_000_000)
        let signal = sigtimedwait(&signals, nil, &time)
        guard signal == SIGCHLD else { return signal > 0 }
        return isEndWanted(withinMilliseconds: 0)
    }
}
