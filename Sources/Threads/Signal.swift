import CLinux
import Glibc

/// Wakes one waiting thread; a wake-up that comes before the wait is kept.
///
/// A POSIX semaphore, because its wait takes a deadline on the monotonic clock and waking costs one system call at most.
public final class Signal: @unchecked Sendable {
    // Any thread may post and wait: the semaphore itself is the synchronisation. Freed in `deinit`, when nobody refers to it.
    private let semaphore: UnsafeMutablePointer<sem_t>

    /// Creates a signal with no wake-up pending.
    public init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Wakes one waiter, now or when it comes.
    public func wake() {
        sem_post(semaphore)
    }

    /// Waits for a wake-up.
    public func wait() {
        while sem_wait(semaphore) != 0 {}
    }

    /// Waits for a wake-up until the deadline; false when it passed first.
    package func wait(until deadline: Deadline) -> Bool {
        guard deadline != .never else {
            wait()
            return true
        }
        var time = deadline.timespecValue
        while tollgate_sem_wait_until(semaphore, &time) != 0 {
            if errno == ETIMEDOUT { return false }
        }
        return true
    }
}
