package import Core
import Foundation
import Threads

/// The day and month of a moment in a tenant's time zone.
///
/// Offsets are remembered until they change.
package final class TimeZones: Sendable {
    private struct Offset: Sendable {
        let seconds: Int64
        let validUnixSeconds: Range<Int64>
    }

    private struct Ends: Sendable {
        let validUnixSeconds: Range<Int64>
        let monthUnixSeconds: Int64
    }

    private let offsets = Locked<[String: Offset]>([:])
    private let ends = Locked<[String: Ends]>([:])

    /// Creates an empty memory.
    package init() {}

    /// Whether the name is one of the IANA time zones this machine knows.
    package static func isKnown(_ name: String) -> Bool {
        TimeZone(identifier: name) != nil
    }

    /// The period of a moment.
    ///
    /// A zone that this machine does not know counts as UTC.
    package func period(in zone: String, unixSeconds: Int64) -> Period {
        guard zone != "UTC" else { return Period(unixSeconds: unixSeconds, offsetSeconds: 0) }
        if let known = offsets.withLock({ $0[zone] }), known.validUnixSeconds.contains(unixSeconds) {
            return Period(unixSeconds: unixSeconds, offsetSeconds: known.seconds)
        }
        guard let timeZone = TimeZone(identifier: zone) else {
            return Period(unixSeconds: unixSeconds, offsetSeconds: 0)
        }
        let now = Date(timeIntervalSince1970: TimeInterval(unixSeconds))
        let change = timeZone.nextDaylightSavingTimeTransition(after: now).map {
            Int64($0.timeIntervalSince1970)
        }
        let offset = Offset(
            seconds: Int64(timeZone.secondsFromGMT(for: now)),
            validUnixSeconds: unixSeconds..<min(change ?? .max, unixSeconds + 86_400))
        offsets.withLock { $0[zone] = offset }
        return Period(unixSeconds: unixSeconds, offsetSeconds: offset.seconds)
    }

    /// Seconds until the day and until the month of a moment end.
    package func secondsLeft(in zone: String, unixSeconds: Int64) -> (day: Int, month: Int) {
        var known = ends.withLock { $0[zone] }
        if known.map({ !$0.validUnixSeconds.contains(unixSeconds) }) ?? true {
            let found = TimeZones.ends(in: zone, unixSeconds: unixSeconds)
            ends.withLock { $0[zone] = found }
            known = found
        }
        guard let known else { return (1, 1) }
        return (
            Int(known.validUnixSeconds.upperBound - unixSeconds), Int(known.monthUnixSeconds - unixSeconds)
        )
    }

    private static func ends(in zone: String, unixSeconds: Int64) -> Ends {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: zone) ?? .gmt
        let now = Date(timeIntervalSince1970: TimeInterval(unixSeconds))
        func end(_ component: Calendar.Component) -> Int64 {
            let end = calendar.dateInterval(of: component, for: now)?.end ?? now
            return max(unixSeconds + 1, Int64(end.timeIntervalSince1970.rounded(.up)))
        }
        return Ends(validUnixSeconds: unixSeconds..<end(.day), monthUnixSeconds: end(.month))
    }
}
