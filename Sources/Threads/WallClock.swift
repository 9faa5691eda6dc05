import Glibc

/// The wall clock: for names, periods and log lines, never for deadlines.
package enum WallClock {
    /// Milliseconds since 1970, UTC.
    package static var unixMilliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
