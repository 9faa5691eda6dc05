import Synchronization
package import Threads

/// How long this process may believe that its pending rows are its own.
///
/// The sweeper ends the rows of an owner whose lease has run out. So an owner that could not renew it for three quarters of its length
/// serves nobody any more, and ends its streams: what it delivered later might be charged to nobody. Counted on the monotonic clock, from
/// before a renewal was sent, because the lease begins while that is on its way.
package final class OwnerLease: Sendable {
    private let trustNanoseconds: Int64
    private let renewedAt: Atomic<Int64>

    /// How often whoever serves for long has to look, at least: a twelfth of the lease, so that all is over before it is.
    package let lookMilliseconds: Int

    /// Creates a lease that begins now.
    ///
    /// - Parameter seconds: How long PostgreSQL lets it run.
    package init(seconds: Int) {
        trustNanoseconds = Int64(seconds) * 750_000_000
        lookMilliseconds = max(50, seconds * 1_000 / 12)
        renewedAt = Atomic(Deadline.now.nanoseconds)
    }

    /// Whether the rows are still this process's own.
    package var isHeld: Bool {
        Deadline.now.nanoseconds - renewedAt.load(ordering: .relaxed) < trustNanoseconds
    }

    /// Notes that PostgreSQL has renewed it.
    ///
    /// - Parameter sentAt: A moment before it was asked to.
    package func noteRenewal(sentAt: Deadline) {
        renewedAt.store(sentAt.nanoseconds, ordering: .relaxed)
    }
}
