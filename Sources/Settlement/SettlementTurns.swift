import Core
import Ledger
import Quota
import Threads

/// The turns of the settlement lane; used by its thread alone.
struct SettlementTurns {
    private let quota: QuotaStore
    private let writer: LedgerWriter
    private let mode: DatabaseMode?
    private let crashPoints: CrashPoints
    private let times: TripTimes

    /// Holds whose rows the last turn has ended: Redis is to be told.
    private var ended: [Ending] = []
    /// What is to be told while the next trip is under way.
    private let answers = Answers()
    /// Whether both stores do what they are asked in this turn; if not, nobody's answer shall wait for another trip.
    private var isSmooth = true

    private struct Ending {
        let ticket: SettlementTicket
        let hold: Hold
        let settlement: RowSettlement
        var written: LedgerWriter.Outcome?

        /// How the ledger says that the row has ended; nil when it does not say so.
        var end: RowEnd? { written.flatMap { RowEnd($0, wanted: RowEnd(settlement)) } }
    }

    private struct Taking {
        let ticket: SettlementTicket
        let order: ReserveOrder
        var deducted: Result<DeductReply, QuotaError>?
    }

    init(
        quota: QuotaStore, writer: LedgerWriter, mode: DatabaseMode?, crashPoints: CrashPoints,
        times: TripTimes
    ) {
        self.times = times
        self.quota = quota
        self.writer = writer
        self.mode = mode
        self.crashPoints = crashPoints
    }

    /// Whether nothing is left to be done unless a ticket comes.
    var isIdle: Bool { ended.isEmpty && answers.isEmpty }

    /// Runs one turn: with tickets, or to finish the turn before.
    mutating func run(_ tickets: [SettlementTicket]) {
        var takings: [Taking] = []
        var inLedger: [(ticket: SettlementTicket, order: ReserveOrder)] = []
        var endings: [Ending] = []
        for ticket in tickets {
            switch ticket.work {
            case .take(let order): takings.append(Taking(ticket: ticket, order: order))
            case .takeInLedger(let order): inLedger.append((ticket, order))
            case .end(let hold, let settlement):
                endings.append(Ending(ticket: ticket, hold: hold, settlement: settlement))
            }
        }
        isSmooth = true
        exchange(&takings)
        write(takings, endings)
        take(inLedger)
        if !isSmooth { answers.give() }
    }

    /// The trip to Redis: settles what has ended and takes what is wanted.
    private mutating func exchange(_ takings: inout [Taking]) {
        var settlements: [HoldSettlement] = []
        for ending in ended {
            guard let end = ending.end else { continue }
            settlements.append(
                HoldSettlement(ending.hold, end, tokens: ending.settlement.usage.total))
        }
        // Images are out of use while reservations are made in the ledger: what comes after them is made of the ended rows.
        let isClosed = mode?.side == .ledger
        if isClosed { settlements = [] }
        let began = Deadline.now
        let replies = quota.exchange(settling: settlements, taking: takings.map { HoldOrder($0.order) }) {
            [answers] in answers.give()
        }
        if !settlements.isEmpty || !takings.isEmpty { times.noteRedis(since: began) }
        for (place, reply) in replies.deducted.enumerated() {
            takings[place].deducted = reply
            if case .failure = reply { isSmooth = false }
        }
        var settled = replies.settled[...]
        for ending in ended {
            guard let written = ending.written else { preconditionFailure("an ending has been written") }
            let outcome = SettlementLane.Ended(
                written: written,
                settled: ending.end == nil ? nil : isClosed ? .success(.missing) : settled.removeFirst())
            answers.add(ending.ticket, .ended(outcome))
        }
        ended = []
    }

    /// The trip to PostgreSQL: inserts the rows of what was taken and ends those of what ends.
    private mutating func write(_ takings: [Taking], _ endings: [Ending]) {
        var rows: [LedgerWriter.Write] = []
        var held: [Taking] = []
        for taking in takings {
            guard let deducted = taking.deducted else { preconditionFailure("an order has a reply") }
            if case .success(.held(let amount)) = deducted {
                crashPoints.pass(.reserved)
                rows.append(.pending(PendingRow(taking.order, amount)))
                held.append(taking)
            } else {
                answers.add(taking.ticket, .taken(SettlementLane.Taken(deducted: deducted, inserted: nil)))
            }
        }
        rows += endings.map { .settlement($0.settlement) }
        if !isSmooth { answers.give() }
        let began = Deadline.now
        var outcomes = writer.write(rows) { answers.give() }[...]
        if !rows.isEmpty { times.noteLedger(since: began) }
        answers.give()
        for taking in held {
            let inserted = outcomes.removeFirst()
            note(inserted)
            guard let deducted = taking.deducted else { continue }
            answers.add(taking.ticket, .taken(SettlementLane.Taken(deducted: deducted, inserted: inserted)))
        }
        for var ending in endings {
            crashPoints.pass(.committed)
            let written = outcomes.removeFirst()
            note(written)
            ending.written = written
            ended.append(ending)
        }
    }

    /// The trip to PostgreSQL of reservations that are made there, after the rows that give money back.
    private func take(_ orders: [(ticket: SettlementTicket, order: ReserveOrder)]) {
        guard let mode, !orders.isEmpty else { return }
        let taken = LedgerTurn(reserver: mode.reserver).take(orders.map { $0.order })
        for ((ticket, _), taken) in zip(orders, taken) { ticket.answer(.takenInLedger(taken)) }
    }

    private mutating func note(_ outcome: LedgerWriter.Outcome) {
        switch outcome {
        case .written, .standing, .fenced, .keyTaken: break
        case .failed, .unknown: isSmooth = false
        }
    }
}

/// Answers that are ready, for whichever thread comes to give them.
private final class Answers: @unchecked Sendable {
    // The lane's thread fills it, and waits while the thread that leads a batch to Redis may empty it: never both at once.
    private var ready: [(ticket: SettlementTicket, outcome: SettlementTicket.Outcome)] = []

    var isEmpty: Bool { ready.isEmpty }

    func add(_ ticket: SettlementTicket, _ outcome: SettlementTicket.Outcome) {
        ready.append((ticket, outcome))
    }

    /// Gives each its answer, and is empty then.
    func give() {
        for (ticket, outcome) in ready { ticket.answer(outcome) }
        ready.removeAll(keepingCapacity: true)
    }
}

extension HoldOrder {
    init(_ order: ReserveOrder) {
        self.init(
            tenant: order.tenant, trace: order.trace, key: order.key, amount: order.amount,
            least: order.least, period: order.period, tokens: order.tokens, hasBudget: order.hasBudget,
            limitsVersion: order.limitsVersion)
    }
}

extension PendingRow {
    init(_ order: ReserveOrder, _ held: HeldAmount) {
        self.init(
            tenant: order.tenant, trace: order.trace, key: order.key, epoch: held.epoch, rseq: held.rseq,
            period: held.period, hold: held.amount, limitsVersion: held.limitsVersion,
            balanceBefore: held.balanceBefore, balanceAfter: held.balanceAfter,
            deadlineMilliseconds: order.deadlineMilliseconds, capability: order.capability,
            model: order.model, isStream: order.isStream)
        claim = order.claim
    }
}
