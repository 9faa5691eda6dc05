import Core
import Foundation
import TestTools
import Testing

@Suite struct PeriodTests {
    /// The day as Foundation sees it.
    private func expectedDay(_ unixSeconds: Int64, _ offset: Int) throws -> Int32 {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: offset))
        let parts = calendar.dateComponents(
            [.year, .month, .day], from: Date(timeIntervalSince1970: TimeInterval(unixSeconds)))
        let year = try #require(parts.year)
        let month = try #require(parts.month)
        return Int32(year * 10_000 + month * 100 + (try #require(parts.day)))
    }

    @Test func `the day is the calendar's, at random moments and offsets over five centuries`() throws {
        var random = TestRandom(seed: 5)
        for _ in 0..<20_000 {
            // 1800 to 2300.
            let moment = Int64.random(in: -5_364_662_400...10_413_792_000, using: &random)
            let offset = Int.random(in: -14 * 60...14 * 60, using: &random) * 60
            let period = Period(unixSeconds: moment, offsetSeconds: Int64(offset))
            let expected = try expectedDay(moment, offset)
            #expect(period.day == expected, "\(moment) \(offset)")
            #expect(period.month == expected / 100)
        }
    }

    @Test(arguments: [1900, 1970, 1999, 2000, 2024, 2025, 2026, 2100])
    func `every day of a year begins and ends at midnight`(year: Int) throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let first = try #require(calendar.date(from: DateComponents(year: year, month: 1, day: 1)))
        let days = try #require(calendar.range(of: .day, in: .year, for: first)).count
        for day in 0..<days {
            let start = Int64(first.timeIntervalSince1970) + Int64(day) * 86_400
            let today = try expectedDay(start, 0)
            #expect(Period(unixSeconds: start, offsetSeconds: 0).day == today)
            #expect(Period(unixSeconds: start + 86_399, offsetSeconds: 0).day == today)
            #expect(Period(unixSeconds: start - 1, offsetSeconds: 0).day < today)
        }
    }

    @Test(arguments: [
        (Int64(0), Int64(0), Int32(19_700_101)), (-1, 0, 19_691_231), (951_782_400, 0, 20_000_229),
        (1_709_164_800, 0, 20_240_229), (1_709_251_199, 0, 20_240_229), (1_709_251_200, 0, 20_240_301),
        (1_709_251_199, 1, 20_240_301), (1_704_067_200, -1, 20_231_231),
    ])
    func `leap days and offsets move the day`(moment: Int64, offset: Int64, day: Int32) {
        #expect(Period(unixSeconds: moment, offsetSeconds: offset).day == day)
    }

    @Test func `the month is the day without its last two digits`() {
        #expect(Period(day: 20_261_231).month == 202_612)
    }
}
