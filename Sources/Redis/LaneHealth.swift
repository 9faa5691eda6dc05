import Synchronization
import Threads

/// Whether a lane is worth waiting for: while its server is down one thread at a time tries it, and all others fail at once.
final class LaneHealth: Sendable {
    private struct Failure {
        var reason: String
        var retryAt: Deadline
        var isBeingTried = false
    }

    /// How long nobody tries a server that was just found to be down.
    private static let backOffMilliseconds = 100

    private let failure = Locked<Failure?>(nil)
    // Whether there is a failure, for the many calls that only want to know that there is none.
    private let isDown = Atomic(false)

    /// Lets the caller pass, or throws at once what was wrong the last time.
    ///
    /// A caller that may pass although the server is down is the one who tries it, and reports what comes of it.
    func admit() throws(RedisError) {
        guard isDown.load(ordering: .acquiring) else { return }
        let reason: String? = failure.withLock { failure in
            guard let known = failure else { return nil }
            guard known.retryAt.isPast, !known.isBeingTried else { return known.reason }
            failure?.isBeingTried = true
            return nil
        }
        if let reason { throw .unreachable(reason) }
    }

    /// What was wrong the last time, when that is too recent to try again.
    var recentFailure: String? {
        guard isDown.load(ordering: .acquiring) else { return nil }
        return failure.withLock { failure in
            failure.flatMap { $0.retryAt.isPast ? nil : $0.reason }
        }
    }

    /// The server works.
    func reportUp() {
        guard isDown.load(ordering: .acquiring) else { return }
        failure.withLock { failure in
            failure = nil
            isDown.store(false, ordering: .releasing)
        }
    }

    /// The server does not work.
    func reportDown(_ reason: String) {
        failure.withLock { failure in
            failure = Failure(reason: reason, retryAt: .after(milliseconds: Self.backOffMilliseconds))
            isDown.store(true, ordering: .releasing)
        }
    }

    /// Whoever was to try the server did not come to it.
    func reportUntried() {
        failure.withLock { $0?.isBeingTried = false }
    }
}
