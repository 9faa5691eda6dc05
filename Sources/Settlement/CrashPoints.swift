import Glibc
import Threads

/// Places in the protocol at which a test ends the process as `kill -9` would.
///
/// `TOLLGATE_CRASH_AT=<step>[:n]` ends it at the n-th passing (1 unless told) of the numbered step. Debug builds only; in release
/// builds there is nothing to switch on.
package struct CrashPoints: Sendable {
    /// The protocol's steps, numbered as in its description.
    package enum Step: Int, Sendable, CaseIterable {
        /// The hold is in Redis.
        case reserved = 1
        /// The pending row is durable.
        case pending = 2
        /// The provider has been called and its answer has begun.
        case called = 3
        /// The answer is complete; nothing is charged yet.
        case answered = 4
        /// The charge is committed; Redis does not know.
        case committed = 5
        /// Redis is settled; the client's last bytes are not sent.
        case settled = 6
        /// After-commit tasks are committed; none has been begun.
        case tasksWritten = 7
        /// After-commit tasks are done; the outbox does not know.
        case tasksDone = 8
    }

    #if DEBUG
        private final class Counter: Sendable {
            let passings = Locked(0)
        }

        private let armed: (step: Int, passing: Int)?
        private let counter = Counter()
    #endif

    /// Creates the crash points, with none armed unless a debug build is told to.
    ///
    /// - Parameter specification: The value of `TOLLGATE_CRASH_AT`.
    package init(specification: String? = nil) {
        #if DEBUG
            let parts = (specification ?? "").split(separator: ":").compactMap { Int($0) }
            armed = parts.isEmpty ? nil : (parts[0], parts.count > 1 ? parts[1] : 1)
        #endif
    }

    /// Passes a step; ends the process when this passing is the armed one.
    package func pass(_ step: Step) {
        #if DEBUG
            guard let armed, armed.step == step.rawValue else { return }
            let passing = counter.passings.withLock { passings in
                passings += 1
                return passings
            }
            if passing == armed.passing { _exit(137) }
        #endif
    }
}
