import Core
import Ledger
import Postgres
import Quota
import Settlement
import TestTools

/// A run of the whole protocol in one thread: processes, Redis, PostgreSQL, the network and the clock, in an order that a seed decides.
///
/// Every decision is made by the product's own machines. Each step carries out one effect or delivers one answer, and on its way
/// an effect may be refused, lost before or after it was carried out, or carried out long after its sender has given up.
final class Simulation {
    /// How a run is to be.
    struct Options: Sendable {
        var breakage: Breakage?
        /// How many steps until it is drained.
        var stepsMax = 500
        /// Whether anything fails.
        var hasFaults = true
        var tracesMax = 14
        var credits = 3
        /// The balance and each hold, where what is held is never settled and no other limit counts; drawn when nil.
        var onlyHolds: (balance: Int64, each: Int64)?
        /// Whether reservations are made in the ledger from the beginning, and no process looks after the mode.
        var isInLedger = false
        /// Only these invariants are looked at; all when empty.
        var checked: [String] = []

        /// The options of a run of which only the seed is told: short ones with few requests and long ones with many.
        static func drawn(from seed: UInt64) -> Options {
            var options = Options()
            options.tracesMax = 4 + Int(seed % 17)
            options.credits = Int(seed / 17 % 6)
            options.stepsMax = 300 + 100 * Int(seed % 5)
            return options
        }
    }

    /// What truly became of a request.
    struct Truth {
        enum Client {
            case waits
            /// Its connection broke, and it knows nothing.
            case cut
            /// It was told of a failure before the first byte of an answer.
            case refused
            case interrupted
            case answered
        }

        var createdAt: Int64 = 0
        var client = Client.waits
        var delivered: Int64 = 0
        var charge: Int64 = 0
        /// Whether its provider was called.
        var wasCalled = false
        /// Its process has died, or had stopped for longer than its lease.
        var hadOwnerDie = false
        /// Whether its charge brings an after-commit task.
        var bringsTask = false
        /// How often that was done.
        var tasksDone = 0
        /// The process that owed it a refund died before it had recorded it.
        var isRefundLost = false
    }

    static let days: [Int32] = [20_250_629, 20_250_630, 20_250_701, 20_250_702]
    static let waitMilliseconds: Int64 = 300
    static let leaseMilliseconds: Int64 = 400
    /// How many idempotency keys there are.
    static let keysMax = 3
    static let claimMilliseconds: Int64 = 900
    /// The processes: two responders, the command line, the job.
    static let responders = 2
    static let commandLine = 2
    static let job = 3

    let options: Options
    var breakage: Breakage? { options.breakage }
    var random: TestRandom
    var now: Int64 = 1_000_000
    var dayIndex = 0
    var graceMilliseconds: Int64 = 0
    var redis: SimulatedRedis
    var saved: SimulatedRedis?
    var ledger: SimulatedLedger
    var processes: [SimulatedProcess] = []
    var threads: [SimulatedThread] = []
    var deadOwners: [Bool] = []
    /// What is on its way though its sender has given up.
    var zombies: [Message] = []
    var truths: [Truth]
    /// The idempotency key of each request; -1 for none.
    var keys: [Int]
    var tracesUsed = 0
    var refusals = 0
    var admissions = 0
    var nextToken: Int64 = 1
    /// How often each landmark was reached.
    var landmarks = [Int](repeating: 0, count: Landmark.allCases.count)
    var hasFaults: Bool
    var isDraining = false
    var sweepsLeft = 0
    var creditLimitMax: Int64 = 0
    var isDirty = true
    var steps = 0
    /// The first invariant that did not hold.
    var violation: String?
    /// What was done, if anybody wants to read it.
    var trail: [String]?

    init(seed: UInt64, options: Options) {
        self.options = options
        random = TestRandom(seed: seed)
        hasFaults = options.hasFaults
        redis = SimulatedRedis(traces: options.tracesMax)
        ledger = SimulatedLedger(traces: options.tracesMax)
        truths = Array(repeating: Truth(), count: options.tracesMax)
        keys = Array(repeating: -1, count: options.tracesMax)
        graceMilliseconds = [200, 600, 1_500][draw(3)]
        var limits = SimulatedLimits()
        if options.onlyHolds == nil {
            limits.creditLimit = Int64(draw(2) * 60)
            limits.dailyQuota = draw(3) == 0 ? Int64(3 + draw(6)) : -1
            limits.monthlyQuota = draw(4) == 0 ? Int64(5 + draw(6)) : -1
        }
        ledger.limits = [limits]
        creditLimitMax = limits.creditLimit
        _ = ledger.addCredit(0, options.onlyHolds?.balance ?? Int64(100 + draw(300)))
        for _ in 0..<4 { processes.append(SimulatedProcess(owner: newOwner())) }
        if options.isInLedger { beginInLedger() }
        for index in 0..<6 { addThread(.worker, index % Simulation.responders) }
        for process in 0..<Simulation.responders { addThread(.retry, process) }
        for index in 0..<2 {
            addThread(.credit, Simulation.commandLine)
            threads[threads.count - 1].creditsLeft = (options.credits + index) / 2
            threads[threads.count - 1].creditID = 1 + 10 * index
        }
        addThread(.sweep, Simulation.job)
        addThread(.outbox, Simulation.job)
        addThread(.outbox, 0)
        guard !options.isInLedger else { return }
        if hasFaults, draw(4) == 0 { beginInLedger() }
        for process in 0..<Simulation.responders {
            addThread(.mode, process)
            threads[threads.count - 1].mode = newModeMachine()
        }
    }

    private func addThread(_ kind: SimulatedThread.Kind, _ process: Int) {
        threads.append(SimulatedThread(kind: kind, process: process, index: threads.count))
    }

    func newOwner() -> Int {
        deadOwners.append(false)
        return deadOwners.count - 1
    }

    /// A number from 0 up to one less than the given.
    func draw(_ count: Int) -> Int { Int(truncatingIfNeeded: random.next() >> 33) % count }

    func note(_ line: @autoclosure () -> String) {
        if trail != nil { trail?.append("\(steps) @\(now % 1_000_000) \(line())") }
    }

    func violate(_ line: @autoclosure () -> String) {
        guard violation == nil else { return }
        let line = line()
        guard options.checked.isEmpty || options.checked.contains(where: { line.hasPrefix($0 + ":") }) else {
            return
        }
        violation = line
        note("VIOLATION: \(violation ?? "")")
    }

    // MARK: - Running

    /// Runs to the end, or to the first invariant that does not hold.
    func run() {
        while violation == nil, steps < options.stepsMax, step() {}
        if violation == nil, options.onlyHolds == nil { drain() }
    }

    /// Makes one step; false when nobody can do anything.
    func step() -> Bool {
        now += Int64(draw(8))
        if hasFaults, draw(50) == 0 {
            injectFault()
        } else if zombies.isEmpty || draw(12) > 0 || !stepZombie() {
            guard runThread() || waitForSomething() else { return false }
        }
        steps += 1
        if isDirty {
            isDirty = false
            checkInvariants()
        }
        return true
    }

    /// Lets time pass, if that helps anybody; false when nobody waits for anything.
    private func waitForSomething() -> Bool {
        now += 50
        if !zombies.isEmpty { _ = stepZombie() }
        return !zombies.isEmpty || (isDraining && !ledger.tasks.isEmpty)
            || threads.contains { thread in
                let waits =
                    thread.againAfter > 0 || thread.layer == .rebuild || thread.phase == .sent
                    || looksAfterMode(thread)
                return waits && !processes[thread.process].isStalled
            }
    }

    private func runThread() -> Bool {
        let first = draw(threads.count)
        for offset in 0..<threads.count {
            let index = first + offset
            let thread = threads[index < threads.count ? index : index - threads.count]
            guard !processes[thread.process].isStalled else { continue }
            switch thread.phase {
            case .ready: if resume(thread) { return true }
            case .sent:
                // What is waited for arrives in the end, and sooner when all else has come to rest.
                if (thread.message?.arrivesAt ?? 0) <= now || isDraining, transmit(thread) { return true }
            case .answered:
                deliver(thread)
                return true
            }
        }
        return false
    }

    /// Carries on with a thread that waits for nothing; false when it has nothing to do.
    private func resume(_ thread: SimulatedThread) -> Bool {
        switch (thread.kind, thread.layer) {
        case (_, .provider): stepProvider(thread)
        case (_, .rebuild):
            guard now >= thread.pausedUntil else { return false }
            let isLate = now > thread.rebuildDeadline
            drive(thread, rebuild: .paused(isLate: isLate))
        case (.worker, _): return beginRequest(thread)
        case (.retry, _): return beginRetry(thread)
        case (.credit, _): return beginCredit(thread)
        case (.sweep, _): return beginSweep(thread)
        case (.mode, _): return beginModeRound(thread)
        case (.outbox, _): return beginOutbox(thread)
        }
        return true
    }

    private func deliver(_ thread: SimulatedThread) {
        thread.phase = .ready
        guard let effect = thread.message?.effect else { preconditionFailure("an answer has a question") }
        switch thread.layer {
        case .claim: answerClaim(thread)
        case .route: answerRoute(thread, effect)
        case .mode: answerMode(thread, effect)
        case .reserve: drive(thread, reserve: reserveEvent(thread, effect))
        case .checkpoint: thread.layer = .provider
        case .extend: drive(thread, extend: extendEvent(thread, effect))
        case .settle: answerSettle(thread, effect)
        case .retry: drive(thread, retry: retryEvent(thread))
        case .credit: answerCredit(thread)
        case .rebuild: answerRebuild(thread)
        case .sweep: answerSweep(thread, effect)
        case .outbox: answerOutbox(thread, effect)
        case .idle, .provider: preconditionFailure("nobody waits for this answer")
        }
    }

    // MARK: - Messages

    /// Sends an effect.
    func send(_ thread: SimulatedThread, _ effect: Effect, trace: Int? = nil) {
        let process = processes[thread.process]
        let isKnown = process.knownLife == redis.life
        let known = isKnown ? number(of: redis.life, process.knownChange) : 0
        thread.message = Message(
            effect: effect, trace: trace ?? thread.trace, day: thread.day, owner: process.owner,
            life: redis.life, incarnation: thread.layer == .rebuild ? thread.incarnation : known,
            notAfter: now + Simulation.waitMilliseconds, token: thread.leaseToken,
            arrivesAt: hasFaults && draw(8) == 0 ? now + Int64(draw(600)) : 0,
            knownChange: isKnown ? process.knownChange : nil)
        if case .endRow(let end) = effect, thread.kind != .sweep, end.status == .committed {
            thread.message?.bringsTask = truths[trace ?? thread.trace].bringsTask
        }
        thread.phase = .sent
    }

    /// Lets a message arrive, or not; false when it waits for a lock.
    private func transmit(_ thread: SimulatedThread) -> Bool {
        guard var message = thread.message else { preconditionFailure("something was sent") }
        if message.effect.isForRedis, processes[thread.process].cutOffUntil > now {
            note("\(name(thread)) \(message.effect): cut off")
            answer(thread, .refused)
            return true
        }
        // Of a hundred three are refused, three lost, three late, and of three the answer is lost.
        let fate = hasFaults ? draw(100) : 100
        if fate < 9 {
            if fate < 6 { end(&message, commits: false) } else { abandon(message) }
            note("\(name(thread)) \(message.effect): \(fate < 3 ? "refused" : fate < 6 ? "lost" : "late")")
            answer(thread, fate < 3 ? .refused : .lost)
            return true
        }
        switch execute(&message) {
        case .blocked:
            thread.message = message
            return false
        case .open:
            note("\(name(thread)) \(message.effect): open")
            thread.message = message
        case .answered(let reply):
            noteLandmarks(message.effect, reply)
            note("\(name(thread)) \(message.effect) #\(message.trace): \(reply)\(fate < 12 ? " lost" : "")")
            answer(thread, fate < 12 ? .lost : reply)
        }
        return true
    }

    func name(_ thread: SimulatedThread) -> String { "\(thread.kind) \(thread.index)" }

    /// Lets an answer set out to its thread.
    private func answer(_ thread: SimulatedThread, _ answer: Answer) {
        thread.answer = answer
        thread.phase = .answered
        if let message = thread.message, message.effect.isRepeated { answerWrite(thread, message, answer) }
        if thread.phase == .answered, draw(2) == 0 { deliver(thread) }
    }

    /// The ledger's writer repeats what got no answer, and tells what it knows in the end.
    private func answerWrite(_ thread: SimulatedThread, _ message: Message, _ answer: Answer) {
        switch answer {
        case .lost:
            guard message.attempts < 3, draw(2) == 0 else {
                reach(.unknownRow)
                thread.answer = .row(.unknown(.timeout))
                return
            }
            thread.message?.isOpen = false
            thread.message?.attempts += 1
            thread.phase = .sent
        case .row(.keyTaken) where message.attempts > 1: thread.answer = .row(.unknown(.timeout))
        case .refused:
            thread.answer = .row(message.attempts > 1 ? .unknown(.timeout) : .failed(.poolExhausted))
        default: break
        }
    }

    /// Leaves a message on its way, for as long as it takes.
    func abandon(_ message: Message) {
        if case .reserveInLedger = message.effect, message.inserted == nil {
            // Its COMMIT was never sent.
            var message = message
            end(&message, commits: false)
            return
        }
        zombies.append(message)
        zombies[zombies.count - 1].arrivesAt = now + Int64(draw(3) * draw(800))
    }

    /// Lets something happen to a message whose sender has given up; false when it cannot arrive yet.
    private func stepZombie() -> Bool {
        let index = draw(zombies.count)
        var message = zombies[index]
        guard message.arrivesAt <= now || isDraining else { return false }
        if draw(4) == 0 {
            end(&message, commits: false)
            zombies.remove(at: index)
            return true
        }
        switch execute(&message) {
        case .blocked: return false
        case .open:
            note("late \(message.effect) #\(message.trace): open")
            zombies[index] = message
        case .answered(let reply):
            if message.effect.isRepeated { reach(.lateWrite) }
            note("late \(message.effect) #\(message.trace): \(reply)")
            zombies.remove(at: index)
        }
        return true
    }
}
