/// One decision of the protocol, broken on purpose: the simulator must find what comes of it.
enum Breakage: String, CaseIterable, Sendable {
    /// A pending row is accepted whatever its hold's epoch.
    case epochUnchecked
    /// A hold is settled in Redis before its row is ended.
    case redisSettledFirst
    /// A settlement gives back without looking whether the hold is still there.
    case refundBlind
    /// A credit is added to the image whatever its number.
    case creditUnordered
    /// The sweeper releases a hold without putting a voided row under its trace.
    case releasedWithoutTombstone
    /// A script runs even though its caller has given up on it.
    case notAfterIgnored
    /// An image of an earlier life of Redis is trusted.
    case incarnationIgnored
    /// The epoch is raised and the snapshot read in one statement.
    case epochAndSnapshotTogether
    /// A row's hold is raised whatever the image's epoch.
    case extensionUnfenced
    /// A row is inserted with what was asked for, whatever the image has taken.
    case loweredHoldUntold
    /// A request is given all that is left although holds are outstanding.
    case loweredBesideHolds
    /// A row's hold is raised to what was asked for, whatever the image has taken.
    case extensionUncounted
    /// What an answer costs is charged although its hold could not be raised to it.
    case chargedBeyondHold
    /// The sweeper ends rows whose owner lives.
    case liveOwnerSwept
    /// A credit that finds no image is taken as done.
    case creditMissDone
    /// A reservation in the ledger does not begin an epoch of the ledger's own.
    case ledgerEpochKept
    /// A reservation in the ledger sums up in the statement that waits for the lock.
    case ledgerSumsTooEarly
    /// After a change of the mode a life of Redis has the same number.
    case modeIncarnationKept
    /// The task of a charge is written by another database transaction than the charge.
    case chargeTaskApart
    /// The task of a credit is written by another database transaction than the credit.
    case creditTaskApart
    /// A voided request is taken off the counters of whatever day the image is in.
    case refundAcrossPeriods
    /// An idempotency key is free again once its request has ended, committed or not.
    case claimReleasedThoughCommitted

    /// In which invariants it must be seen, whatever else it breaks: the books are wrong, or somebody pays nothing, or twice.
    var invariants: [String] {
        switch self {
        case .liveOwnerSwept: ["I12"]
        case .claimReleasedThoughCommitted: ["I13"]
        case .chargedBeyondHold: ["I6"]
        case .loweredBesideHolds: ["I20"]
        case .chargeTaskApart: ["T1"]
        default: ["I1", "I2", "I3", "I4"]
        }
    }
}
