package import Core
import Threads

extension TraceID {
    /// An id as a request that begins now gets one.
    package static func fresh() -> TraceID { made(millisecondsAgo: 0) }

    /// An id as a request that began some time ago has one.
    package static func made(millisecondsAgo age: Int64) -> TraceID {
        TraceID(
            unixMilliseconds: WallClock.unixMilliseconds - age,
            random: (.random(in: .min ... .max), .random(in: .min ... .max)))
    }
}
