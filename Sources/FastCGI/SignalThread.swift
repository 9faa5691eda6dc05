import Glibc
package import Threads

/// A signal by which an operator talks to the process.
package enum ProcessSignal: Int32, Sendable {
    /// SIGTERM.
    case terminate = 15
    /// SIGINT.
    case interrupt = 2
    /// SIGHUP.
    case hangUp = 1
}

/// The one thread that receives signals.
package enum SignalThread {
    /// Blocks all signals here, and starts the thread that waits for SIGTERM, SIGINT and SIGHUP and calls `body` with each.
    ///
    /// Call it first in `main`: every later thread inherits the mask, so that neither libfcgi's handlers nor EINTR reach one. A child
    /// process inherits it too, unless it is started with a mask of its own.
    package static func start(
        _ body: @escaping @Sendable (ProcessSignal) -> Void
    ) throws(WorkerThread.CreationError) {
        WorkerThread.blockAllSignals()
        _ = try WorkerThread(name: "signals", isDetached: true) {
            var awaited = sigset_t()
            sigemptyset(&awaited)
            for signal in [ProcessSignal.terminate, .interrupt, .hangUp] {
                sigaddset(&awaited, signal.rawValue)
            }
            while true {
                var number: Int32 = 0
                guard sigwait(&awaited, &number) == 0, let signal = ProcessSignal(rawValue: number) else {
                    continue
                }
                body(signal)
            }
        }
    }
}
