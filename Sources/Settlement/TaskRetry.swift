package import Ledger

/// When an after-commit task that could not be done is tried again.
package enum TaskRetry {
    /// The pauses, in seconds: somewhat less than a day in all.
    private static let pauses = [10, 30, 120, 600, 3_600, 14_400, 28_800, 36_000]
    /// The longest pause of a task that is never given up.
    private static let moneyPauseMax = 3_600

    /// How many seconds after an attempt the next one is due; nil when the task is given up.
    ///
    /// A credit never is: until its image knows it, its tenant has less than it has paid for.
    ///
    /// - Parameter attempts: How many there have been; 1 or more.
    package static func pauseSeconds(after attempts: Int, of kind: TaskKind) -> Int? {
        precondition(attempts > 0)
        let pause = attempts <= pauses.count ? pauses[attempts - 1] : nil
        guard kind == .credit else { return pause }
        return min(pause ?? moneyPauseMax, moneyPauseMax)
    }
}
