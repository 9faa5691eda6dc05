import Core
import Ledger
import Quota
import Settlement

// The mode of the installation: where a reservation is made, reservations in the ledger, and who changes the mode.
extension Simulation {
    /// More changes than any run comes to.
    static let changesMax: Int64 = 1_000_000

    /// Lets the run begin with Redis lost for a while, and reservations made in the ledger.
    func beginInLedger() {
        ledger.mode.isDatabase = true
        let until = now + Int64(draw(1_500))
        for index in processes.indices {
            processes[index].side = .ledger
            processes[index].cutOffUntil = until
        }
    }

    /// The number of a life of Redis since a change of the mode.
    func number(of life: Int64, _ change: Int64) -> Int64 {
        life * Simulation.changesMax + (breakage == .modeIncarnationKept ? 0 : change)
    }

    func learn(_ process: Int, _ life: Int64, _ change: Int64) {
        processes[process].knownLife = life
        processes[process].knownChange = change
    }

    /// Which life it is was asked on a connection to it; whoever has registered it before need not ask the ledger.
    func register(_ message: Message) -> Answer {
        if let change = message.knownChange { return .registered(life: message.life, change: change) }
        guard !ledger.mode.isDatabase else { return .closed }
        return .registered(life: message.life, change: ledger.mode.change)
    }

    private func obey(_ process: Int, _ mode: InstallationMode) {
        if processes[process].knownChange != mode.change { learn(process, 0, 0) }
    }

    // MARK: - The way of a reservation

    func drive(_ thread: SimulatedThread, route event: ReserveRoute.Event) {
        thread.layer = .route
        switch thread.route.next(after: event) {
        case .useImage:
            thread.reserve = ReserveMachine()
            drive(thread, reserve: .begin)
        case .useLedger: send(thread, .reserveInLedger(amount: thread.amount))
        case .readMode: send(thread, .readMode)
        case .fail(let error): refuse(thread, error)
        }
    }

    func answerRoute(_ thread: SimulatedThread, _ effect: Effect) {
        switch (thread.answer, effect) {
        case (.mode(let mode), _):
            obey(thread.process, mode)
            processes[thread.process].side = mode.isDatabase ? .ledger : .image
            drive(thread, route: .modeRead(mode))
        case (_, .readMode): drive(thread, route: .modeRead(nil))
        case (.reserved(.held(let held)), _):
            thread.held = held
            callProvider(thread)
        case (.reserved(.refused), _):
            refusals += 1
            refuse(thread, .unavailable("a limit"))
        case (.reserved(.closed), _): drive(thread, route: .ledgerClosed)
        case (.reserved(.conflict), _): refuse(thread, .conflict)
        default:
            if case .lost = thread.answer, let held = thread.message?.inserted {
                let end = holdEnd(thread, held, RowEnd(charge: .zero, status: .voided))
                processes[thread.process].tasks.append(SimulatedTask(end: end, isImageOnly: false))
            }
            refuse(thread, .unavailable("no answer"))
        }
    }

    // MARK: - Reserving in the ledger

    /// Takes the lock, sums up, inserts and commits: each is a step of its own.
    func reserveInLedger(_ message: inout Message, _ amount: Int64) -> Progress {
        if let held = message.inserted {
            end(&message, commits: true)
            return .answered(.reserved(.held(held)))
        }
        guard message.isOpen else {
            if breakage == .ledgerSumsTooEarly, message.snapshot == nil {
                message.snapshot = ledger.snapshot(in: message.day)
            }
            guard ledger.epochShares == 0, !ledger.hasEpochLock else { return .blocked }
            ledger.hasEpochLock = true
            message.isOpen = true
            return .open
        }
        guard let held = decide(message, amount) else {
            end(&message, commits: false)
            return .answered(.reserved(ledger.mode.isDatabase ? .refused : .closed))
        }
        let key = keys[message.trace]
        guard ledger.rows[message.trace].state == .absent, key < 0 || ledger.isFree(key, breakage) else {
            end(&message, commits: false)
            return .answered(.reserved(.conflict))
        }
        // Whoever else claims a key holds the epoch meanwhile.
        if key >= 0 { ledger.openClaims[key] = message.trace }
        ledger.rows[message.trace] = SimulatedRow(
            state: .open, epoch: held.epoch, rseq: held.rseq, hold: amount, day: held.period.day,
            owner: message.owner, limitsVersion: held.limitsVersion)
        message.inserted = held
        return .open
    }

    /// What the ledger's sums admit; nil when they do not, or the mode was left.
    private func decide(_ message: Message, _ amount: Int64) -> HeldAmount? {
        guard ledger.mode.isDatabase, let tenant = TenantID("simulated") else { return nil }
        if !ledger.isEpochInLedger { reach(.epochTaken) }
        let begins = !ledger.isEpochInLedger && breakage != .ledgerEpochKept
        let epoch = ledger.epoch + (begins ? 1 : 0)
        let sums = message.snapshot ?? ledger.snapshot(in: message.day)
        func quota(_ value: Int64) -> Int64? { value < 0 ? nil : value }
        let limits = TenantLimits(
            version: sums.limits.version, creditLimit: Money(nanodollars: sums.limits.creditLimit),
            dailyQuota: quota(sums.limits.dailyQuota), monthlyQuota: quota(sums.limits.monthlyQuota))
        var image = DetachedImage(
            ImageContents(
                epoch: epoch, balance: Money(nanodollars: sums.balance), limits: limits,
                creditSequence: sums.creditSequence, period: Period(day: sums.day), dailyUsed: sums.dailyUsed,
                monthlyUsed: sums.monthlyUsed, holds: []), minute: nil)
        let order = HoldOrder(
            tenant: tenant, trace: TraceID(lowestAtUnixMilliseconds: 0), key: nil,
            amount: Money(nanodollars: amount),
            period: Period(day: sums.day))
        guard case .held(let held) = image.take(order) else { return nil }
        return held
    }

    // MARK: - Looking after the mode

    func newModeMachine() -> ModeMachine {
        ModeMachine(
            ModeMachine.Rule(
                mayEnter: draw(4) > 0, afterMilliseconds: Int64(20 + draw(120)),
                lateMilliseconds: Int64(draw(150)), pauseMilliseconds: Int64(10 + draw(60))))
    }

    /// Whether a thread must go on for the others to come to rest.
    func looksAfterMode(_ thread: SimulatedThread) -> Bool {
        guard thread.kind == .mode else { return false }
        let process = processes[thread.process]
        let isBehind = process.knownLife != 0 && process.knownChange != ledger.mode.change
        return isDraining && (ledger.mode.isDatabase || process.side != .image || isBehind)
    }

    func beginModeRound(_ thread: SimulatedThread) -> Bool {
        guard now >= thread.pausedUntil, !isDraining || looksAfterMode(thread) else { return false }
        drive(thread, mode: thread.pausedUntil == 0 ? .begin : .paused)
        return true
    }

    private func drive(_ thread: SimulatedThread, mode event: ModeMachine.Event) {
        thread.layer = .mode
        let action = thread.mode.next(after: event)
        processes[thread.process].side = thread.mode.side
        switch action {
        case .readMode: send(thread, .readMode)
        case .probeRedis: send(thread, .probe)
        case .enter(let change): send(thread, .enterMode(after: change))
        case .leave(let change, let healthy): send(thread, .leaveMode(after: change, healthy: healthy))
        case .noteLost(let change): send(thread, .noteLost(after: change))
        case .pause(let milliseconds):
            thread.layer = .idle
            thread.pausedUntil = now + milliseconds
        }
    }

    func answerMode(_ thread: SimulatedThread, _ effect: Effect) {
        switch (effect, thread.answer) {
        case (.readMode, .mode(let mode)):
            obey(thread.process, mode)
            drive(thread, mode: .modeRead(mode))
        case (.readMode, _): drive(thread, mode: .modeRead(nil))
        case (.probe, .done): drive(thread, mode: .redisProbed(isWell: true, atMilliseconds: now))
        case (.probe, _): drive(thread, mode: .redisProbed(isWell: false, atMilliseconds: now))
        default: drive(thread, mode: .written)
        }
    }
}

extension SimulatedLedger {
    var installationMode: InstallationMode {
        InstallationMode(isDatabase: mode.isDatabase, change: mode.change)
    }

    /// Whether an epoch may begin for an image of lives that were registered after a change of the mode.
    func isOpenForImages(since change: Int64) -> Bool { !mode.isDatabase && mode.change == change }

    mutating func enterMode(after change: Int64, at now: Int64) -> Bool {
        guard !mode.isDatabase, mode.change == change else { return false }
        mode = Mode(isDatabase: true, change: change + 1, lostAt: now)
        return true
    }

    mutating func leaveMode(after change: Int64, at now: Int64, healthy: Int64) -> Bool {
        guard mode.isDatabase, mode.change == change, mode.lostAt <= now - healthy else { return false }
        mode = Mode(isDatabase: false, change: change + 1)
        return true
    }

    mutating func noteLost(after change: Int64, at now: Int64) {
        if mode.isDatabase, mode.change == change { mode.lostAt = now }
    }

    mutating func endReserve(_ trace: Int, _ inserted: HeldAmount?, commits: Bool) {
        hasEpochLock = false
        guard let inserted else { return }
        if let key = openClaims.firstIndex(of: trace) {
            if commits { claims[key] = trace }
            openClaims[key] = -1
        }
        guard commits else {
            rows[trace] = SimulatedRow()
            return
        }
        rows[trace].state = .pending
        epoch = inserted.epoch
        isEpochInLedger = true
    }
}
