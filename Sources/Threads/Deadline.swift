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
        now.advanced(milliseconds: seconds.multipliedReportingOverflow(by: 1_000).partialValue)
    }

    /// The deadline this many milliseconds after this one; `never` stays `never`.
    package func advanced(milliseconds: Int) -> Deadline {
        let (length, tooLong) = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflow) = nanoseconds.addingReportingOverflow(length)
        return tooLong || overflow ? .never : Deadline(nanoseconds: sum)
    }

    /// Whether the moment has passed.
    package var isPast: Bool { Deadline.now >= self }

    /// Milliseconds left, rounded up, never negative and never more than an `Int32` holds, as `poll` and its like take them.
    package var remainingMilliseconds: Int32 {
        let left = nanoseconds.subtractingReportingOverflow(Deadline.now.nanoseconds).partialValue
        guard left > 0 else { return 0 }
        return Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    /// Nanoseconds that have passed since this moment; negative while it lies ahead.
    package var elapsedNanoseconds: Int64 { Deadline.now.nanoseconds - nanoseconds }

    /// The moment as `sem_clockwait` and its like take it.
    package var timespecValue: timespec {
        timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }

    package static func < (left: Deadline, right: Deadline) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
