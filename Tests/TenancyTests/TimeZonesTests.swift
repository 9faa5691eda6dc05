import Core
import Foundation
import Tenancy
import Testing
import Threads

@Suite struct TimeZonesTests {
    /// What several threads found wrong.
    private final class WrongAnswers: Sendable {
        private let answers = Locked<[String]>([])

        var all: [String] { answers.withLock { $0 } }

        func add(_ answer: String) {
            answers.withLock { $0.append(answer) }
        }
    }

    private static let zones = [
        "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana",
        "Pacific/Kiritimati", "America/St_Johns",
    ]

    private func calendar(_ zone: String) throws -> Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: zone))
        return calendar
    }

    private func day(_ unixSeconds: Int64, _ calendar: Calendar) throws -> Int32 {
        let parts = calendar.dateComponents(
            [.year, .month, .day], from: Date(timeIntervalSince1970: TimeInterval(unixSeconds)))
        let year = try #require(parts.year)
        let month = try #require(parts.month)
        let day = try #require(parts.day)
        return Int32(year * 10_000 + month * 100 + day)
    }

    /// A local time in Unix seconds.
    private func moment(_ zone: String, _ year: Int, _ month: Int, _ day: Int, _ hour: Int = 0) throws
        -> Int64
    {
        let date = try calendar(zone).date(
            from: DateComponents(year: year, month: month, day: day, hour: hour))
        return Int64(try #require(date).timeIntervalSince1970)
    }

    @Test(arguments: zones)
    func `the day is the calendar's in every hour of two years`(zone: String) throws {
        let calendar = try calendar(zone)
        let zones = TimeZones()
        let start = try moment("UTC", 2024, 1, 1)
        for hour in 0..<2 * 366 * 24 {
            let now = start + Int64(hour) * 3_600 + 1_799
            let expected = try day(now, calendar)
            #expect(zones.period(in: zone, unixSeconds: now).day == expected, "\(now)")
        }
    }

    @Test func `clocks go back at midnight, and moments on both sides may be asked for in any order`() throws
    {
        // In Havana, 3 November 2024, 01:00 became 00:00: the day has two hours from midnight to one.
        let zone = "America/Havana"
        let calendar = try calendar(zone)
        let change = try moment("UTC", 2024, 11, 3, 5)
        let zones = TimeZones()
        for offset in [0, -3_601, 1, -1, 3_600, -3_600, 3_599, -7_200, 86_400, -86_400] as [Int64] {
            let expected = try day(change + offset, calendar)
            #expect(zones.period(in: zone, unixSeconds: change + offset).day == expected, "\(offset)")
        }
    }

    @Test func `a zone that nobody knows counts as UTC`() throws {
        let now = try moment("UTC", 2026, 7, 1, 23)
        #expect(TimeZones().period(in: "Mars/Olympus", unixSeconds: now).day == 20_260_701)
        #expect(!TimeZones.isKnown("Mars/Olympus"))
        #expect(TimeZones.isKnown("Europe/Berlin"))
        #expect(TimeZones.isKnown("UTC"))
    }

    @Test(arguments: [
        // A day of 23 hours, one of 25, an ordinary one.
        ("America/New_York", 2024, 3, 10, 23), ("America/New_York", 2024, 11, 3, 25),
        ("America/New_York", 2024, 3, 11, 24),
        ("Europe/Berlin", 2025, 3, 30, 23), ("UTC", 2025, 3, 30, 24),
    ])
    func `a day ends when its last hour does`(zone: String, year: Int, month: Int, day: Int, hours: Int)
        throws
    {
        let midnight = try moment(zone, year, month, day)
        let zones = TimeZones()
        #expect(zones.secondsLeft(in: zone, unixSeconds: midnight).day == hours * 3_600)
        let end = midnight + Int64(hours) * 3_600
        #expect(zones.secondsLeft(in: zone, unixSeconds: end - 1).day == 1)
        #expect(
            zones.period(in: zone, unixSeconds: end - 1).day < zones.period(in: zone, unixSeconds: end).day)
    }

    @Test func `a month ends with its last day, also when the clocks change in it`() throws {
        let zones = TimeZones()
        for (zone, month, seconds) in [
            ("UTC", 2, 29 * 86_400), ("America/New_York", 3, 31 * 86_400 - 3_600),
            ("America/New_York", 11, 30 * 86_400 + 3_600), ("America/New_York", 12, 31 * 86_400),
        ] {
            let first = try moment(zone, 2024, month, 1)
            #expect(zones.secondsLeft(in: zone, unixSeconds: first).month == seconds)
        }
    }

    @Test func `many threads may ask at the same time`() throws {
        let zones = TimeZones()
        let wrong = WrongAnswers()
        let start = try moment("UTC", 2024, 10, 27)
        let expected = try Self.zones.map { zone in
            let calendar = try calendar(zone)
            return try (0..<48).map { try day(start + Int64($0) * 3_600, calendar) }
        }
        let threads = try (0..<32).map { index in
            try WorkerThread(name: "asking") {
                let zone = index % Self.zones.count
                for hour in 0..<48 {
                    let day = zones.period(in: Self.zones[zone], unixSeconds: start + Int64(hour) * 3_600).day
                    if day != expected[zone][hour] { wrong.add("\(Self.zones[zone]) \(hour)") }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.all == [])
    }
}
