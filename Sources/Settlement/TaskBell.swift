import Threads

/// Calls the thread that does after-commit tasks; however often it is rung before that thread comes, it comes once.
package final class TaskBell: Sendable {
    private let isRung = Locked(false)
    private let signal = Signal()

    /// Creates a bell that nobody has rung.
    package init() {}

    /// Says that tasks have been committed.
    package func ring() {
        let wasRung = isRung.withLock { isRung in
            defer { isRung = true }
            return isRung
        }
        if !wasRung { signal.wake() }
    }

    /// Waits until somebody rings; what is rung from now on is heard the next time.
    package func wait() {
        signal.wait()
        isRung.withLock { $0 = false }
    }
}
