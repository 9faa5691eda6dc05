import Core
import Ledger
import Quota
import Settlement

/// A thread of one of the processes: what it does, and the machines that decide for it.
final class SimulatedThread {
    enum Kind {
        case worker
        case retry
        case credit
        case sweep
        case mode
        case outbox
    }

    /// Whose decision comes next.
    enum Layer {
        case idle
        case claim
        case route
        case reserve
        case provider
        case checkpoint
        case extend
        case settle
        case retry
        case credit
        case rebuild
        case sweep
        case mode
        case outbox
    }

    enum Phase {
        /// Not waiting for anything.
        case ready
        /// Its effect is on the way.
        case sent
        /// The answer is on the way back.
        case answered
    }

    let kind: Kind
    let process: Int
    /// Its number among all threads.
    let index: Int
    var layer = Layer.idle
    var phase = Phase.ready
    var message: Message?
    var answer = Answer.done

    // The request.
    var trace = 0
    var day: Int32 = 0
    var amount: Int64 = 0
    var cost: Int64 = 0
    /// What it asked for, and what it can do with.
    var asked: Int64 = 0
    var least: Int64 = 0
    var isStream = false
    var delivered: Int64 = 0
    /// What the answer costs once it has ended, and whether its hold was raised to that already.
    var due: Int64 = 0
    var isEnding = false
    /// What the image was asked to hold.
    var wantedAmount: Int64 = 0
    var held: HeldAmount?
    /// Before when the same trace may not be reserved again; 0 when it is not to be.
    var againAfter: Int64 = 0
    var wanted = RowEnd(charge: .zero, status: .voided)

    // The machines.
    var route = ReserveRoute()
    var reserve = ReserveMachine()
    var settle = SettleMachine(wanted: RowEnd(charge: .zero, status: .voided))
    var extend = ExtendMachine(to: .zero)
    var retry = RetryMachine(wanted: RowEnd(charge: .zero, status: .voided))
    var credit = CreditMachine()
    var rebuild = RebuildMachine()

    /// Who waits for the rebuild, and for the credit.
    var rebuildCaller = Layer.idle
    var creditCaller = Layer.idle
    var rebuildDeadline: Int64 = 0
    var pausedUntil: Int64 = 0
    var leaseToken: Int64 = 0
    /// The number of the life of Redis for which it rebuilds, and the change of the mode since which it is that.
    var incarnation: Int64 = 0
    var change: Int64 = 0
    /// What it sees of the mode of the installation, all its life.
    var mode = ModeMachine(ModeMachine.Rule(mayEnter: false, afterMilliseconds: 0, lateMilliseconds: 0))
    /// Whether there are images to sweep.
    var sweepsHolds = true
    var snapshot: SimulatedSnapshot?
    /// What Redis said before the row was ended, when that order is broken.
    var imageReply: SettleReply?

    var creditID = 0
    var creditAmount: Int64 = 0
    var creditOutcome = CreditOutcome.unknownTenant
    /// The next credit that the image lacks, and before which the last stands.
    var catchUp: (next: Int64, end: Int64) = (0, 0)
    var creditsLeft = 0

    /// What it has claimed in the outbox and not begun.
    var claimed: [SimulatedOutboxTask.Kind] = []

    // The sweeper.
    var orphans: [SimulatedOrphan] = []
    var sweptHolds: [HoldEnd] = []
    var sweptHold = HoldEnd(0, SimulatedHold())
    var sweptRows: [StandingRow?] = []

    init(kind: Kind, process: Int, index: Int) {
        self.kind = kind
        self.process = process
        self.index = index
    }

    /// Forgets what it was doing: its process has died.
    func reset() {
        layer = .idle
        phase = .ready
        message = nil
        againAfter = 0
        held = nil
        claimed = []
    }
}

/// What a process knows, and what it has still to end.
struct SimulatedProcess {
    /// Its name in the rows it inserts; another one after each start.
    var owner: Int
    /// The life of Redis that it knows the number of, since a change of the mode; 0 for none.
    var knownLife: Int64 = 0
    var knownChange: Int64 = 0
    /// Where it has reservations made.
    var side = ReserveSide.image
    /// Until when it does not reach Redis.
    var cutOffUntil: Int64 = 0
    /// Its clock's lag in days.
    var lag = 0
    /// Stopped for longer than its lease.
    var isStalled = false
    var tasks: [SimulatedTask] = []
}

/// What could not be ended in time.
struct SimulatedTask {
    var end: HoldEnd
    /// Whether the row has ended, and only Redis is to be settled.
    var isImageOnly: Bool
}
