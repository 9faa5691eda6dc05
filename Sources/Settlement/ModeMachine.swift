package import Ledger

/// Where a process has reservations made.
package enum ReserveSide: Int, Sendable {
    /// In images in Redis.
    case image
    /// In the ledger itself.
    case ledger
    /// Nowhere: what was sent to Redis may still be carried out, and this process is about to give Redis up.
    case nowhere
}

/// The decisions about the mode of the installation, as one process makes them all its life: which effect comes next after each reply.
///
/// It does nothing itself, but for keeping the side on which this process has reservations made.
///
/// The mode is the ledger's, and every process obeys it. A process that may begin the database mode does so when Redis was lost to it
/// for long enough; before, it sends Redis nothing more until all that it has sent is too late to be carried out. Every process may
/// end it, when Redis was well to it for as long, and to all others, too: those who find Redis lost write that down.
package struct ModeMachine: Sendable {
    /// How a process decides.
    package struct Rule: Sendable {
        /// Whether this process may begin the database mode.
        package var mayEnter: Bool
        /// How long Redis must be lost before it is given up, and well before it is used again.
        package var afterMilliseconds: Int64
        /// How long after it was sent a command to Redis may still be carried out.
        package var lateMilliseconds: Int64
        /// The pause between two looks.
        package var pauseMilliseconds: Int64

        /// Creates a rule.
        package init(
            mayEnter: Bool, afterMilliseconds: Int64, lateMilliseconds: Int64,
            pauseMilliseconds: Int64 = 1_000
        ) {
            self.mayEnter = mayEnter
            self.afterMilliseconds = afterMilliseconds
            self.lateMilliseconds = lateMilliseconds
            self.pauseMilliseconds = pauseMilliseconds
        }
    }

    /// What is to be done next.
    package enum Action: Sendable, Equatable {
        /// Read the mode from the ledger.
        case readMode
        /// Try whether Redis takes a write and returns it.
        case probeRedis
        /// Begin the database mode, unless the mode has changed since this change.
        case enter(after: Int64)
        /// End it, unless the mode has changed, or some process has found Redis lost for less than this time.
        case leave(after: Int64, healthyMilliseconds: Int64)
        /// Write down that Redis is lost to this process.
        case noteLost(after: Int64)
        /// Wait so long.
        case pause(milliseconds: Int64)
    }

    /// What came of the last action, and when.
    package enum Event: Sendable {
        case begin
        /// The mode; nil when the ledger could not be read.
        case modeRead(InstallationMode?)
        case redisProbed(isWell: Bool, atMilliseconds: Int64)
        /// The mode may have been changed, by this process or another, or could not be.
        case written
        case paused
    }

    /// Where reservations of this process are to be made.
    package private(set) var side = ReserveSide.image

    private let rule: Rule
    /// What the ledger said in this round.
    private var mode: InstallationMode?
    private var lostSince: Int64?
    private var wellSince: Int64?
    private var silentSince: Int64?
    private var isRoundOver = false

    /// Creates the machine of a process.
    package init(_ rule: Rule) {
        self.rule = rule
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin, .paused:
            isRoundOver = false
            return .readMode
        case .written:
            isRoundOver = true
            return .readMode
        case .modeRead(let mode):
            note(mode)
            return isRoundOver ? pause : .probeRedis
        case .redisProbed(let isWell, let now):
            if isWell { lostSince = nil } else { wellSince = nil }
            if isWell, wellSince == nil { wellSince = now }
            if !isWell, lostSince == nil { lostSince = now }
            return decide(now) ?? pause
        }
    }

    private mutating func note(_ mode: InstallationMode?) {
        self.mode = mode
        // Unread, it is believed to be what it was: whoever is wrong is told by the fence.
        guard let mode else { return }
        if mode.isDatabase {
            side = .ledger
            silentSince = nil
        } else if silentSince == nil {
            side = .image
        }
    }

    /// What there is to be written; nil for nothing.
    private mutating func decide(_ now: Int64) -> Action? {
        guard let mode else { return nil }
        if mode.isDatabase {
            guard let wellSince else { return .noteLost(after: mode.change) }
            guard now - wellSince >= rule.afterMilliseconds else { return nil }
            return .leave(after: mode.change, healthyMilliseconds: rule.afterMilliseconds)
        }
        guard rule.mayEnter, let lostSince, now - lostSince >= rule.afterMilliseconds else {
            silentSince = nil
            side = .image
            return nil
        }
        guard let silentSince else {
            silentSince = now
            side = .nowhere
            return .pause(milliseconds: rule.lateMilliseconds)
        }
        return now - silentSince >= rule.lateMilliseconds ? .enter(after: mode.change) : nil
    }

    /// A process that waits for something looks more often.
    private var pause: Action {
        let isWaiting = lostSince != nil || mode?.isDatabase == true
        let quick = max(10, min(rule.pauseMilliseconds, rule.afterMilliseconds) / 4)
        return .pause(milliseconds: isWaiting ? quick : rule.pauseMilliseconds)
    }
}
