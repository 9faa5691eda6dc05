package import Glibc

/// A point in time on the monotonic clock, after which something must no longer be waited for.
///
/// Wall-clock jumps do not move it. A timeout (a length of time) becomes a deadline once, where the waiting begins, and the
/// deadline is handed down from there, so that nested waits share one bound.
package struct Deadline: Sendable, Hashable, Comparable {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    package let nanoseconds: Int64

    /// Creates the deadline at a reading of `CLOCK_MONOTONIC`, in nanoseconds.
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The present moment.
    package static var now: Deadline {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Deadline(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// A deadline that is never reached.
    package static let never = Deadline(nanoseconds: .max)

    /// The deadline this many milliseconds from now.
    package static func after(milliseconds: Int) -> Deadline {
        now.advanced(milliseconds: milliseconds)
    }

    /// The deadline this many seconds from now.
    package static func after(seconds: Int) -> Deadline {
        let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return now.advanced(milliseconds: overflow ? (seconds < 0 ? .min : .max) : milliseconds)
    }

    /// The deadline this many milliseconds after this one; `never` stays `never`, and what is too far becomes it.
    package func advanced(milliseconds: Int) -> Deadline {
        guard self != .never else { return .never }
        let (length, tooLong) = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflow) = nanoseconds.addingReportingOverflow(length)
        guard tooLong || overflow else { return Deadline(nanoseconds: sum) }
        return milliseconds < 0 ? Deadline(nanoseconds: 0) : .never
    }

    /// Whether the moment has passed.
    package var isPast: Bool { Deadline.now >= self }

    /// Milliseconds left, rounded up, never negative and never more than an `Int32` holds, as `poll` and its like take them.
    package var remainingMilliseconds: Int32 {
        let now = Deadline.now
        guard self > now else { return 0 }
        return Int32(clamping: (nanoseconds - now.nanoseconds - 1) / 1_000_000 + 1)
    }

    /// Nanoseconds that have passed since this moment; negative while it lies ahead.
    package var elapsedNanoseconds: Int64 { Deadline.now.nanoseconds - nanoseconds }

    /// The moment as `sem_clockwait` and its like take it, which refuse times below zero.
    package var timespecValue: timespec {
        let time = max(0, nanoseconds)
        return timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
    }

    package static func < (left: Deadline, right: Deadline) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
