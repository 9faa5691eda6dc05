/// The day and the month in which a request counts, in its tenant's time zone.
///
/// Fixed when the hold is taken: a request that crosses midnight settles where it was reserved.
package struct Period: Sendable, Hashable {
    /// The day as `yyyymmdd`.
    package let day: Int32

    /// The month as `yyyymm`.
    package var month: Int32 { day / 100 }

    /// Creates the period of a day written as `yyyymmdd`.
    package init(day: Int32) {
        self.day = day
    }

    /// Creates the period of a moment, where local time is ahead of UTC by the given offset.
    package init(unixSeconds: Int64, offsetSeconds: Int64) {
        let local = unixSeconds + offsetSeconds
        let days = local >= 0 ? local / 86_400 : (local - 86_399) / 86_400
        // Howard Hinnant's civil-from-days: years are counted from March, so that a leap day ends its year.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        day = Int32(year * 10_000 + month * 100 + dayOfMonth)
    }
}
