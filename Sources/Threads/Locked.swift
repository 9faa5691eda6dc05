public import Glibc

/// A value that threads share: whoever uses it holds its lock meanwhile.
///
/// A POSIX mutex and not the standard library's `Mutex`, which on Linux hands itself to a waiter that sleeps: with more threads
/// than cores everybody waits for that one to be scheduled, and a lock in the way of 64 threads becomes four to twenty times
/// as slow. ThreadSanitizer knows POSIX mutexes as well, and not that one.
///
/// Public, and so are ``Signal`` and ``BatchLane``, because the compiler makes a generic type anew for the values it is used with
/// in another target only if it is public: with `package` a request looked up types at run time for 29,000 instructions.
public struct Locked<Value>: ~Copyable, @unchecked Sendable {
    // Any thread may call `withLock`, the only way to `value`; both are freed in `deinit`, when nobody borrows this any more.
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline let value: UnsafeMutablePointer<Value>

    /// Creates the lock around a value.
    @inlinable
    public init(_ initial: consuming sending Value) {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        value = .allocate(capacity: 1)
        value.initialize(to: initial)
    }

    @inlinable
    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` on the value while no other thread does; it must be brief, must not do I/O and must not come here again.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value.pointee)
    }
}
