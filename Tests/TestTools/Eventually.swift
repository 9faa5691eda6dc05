import Glibc
import Threads

/// Waits for what another thread or process brings about.
package enum Eventually {
    /// Asks until the condition holds, or the time is up; whether it held.
    package static func holds(seconds: Int = 30, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Deadline.after(seconds: seconds)
        while true {
            if try condition() { return true }
            if deadline.isPast { return false }
            usleep(5_000)
        }
    }
}
