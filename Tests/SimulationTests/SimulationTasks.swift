import Core
import Ledger
import Quota
import Settlement

// What goes on beside requests: rebuilds, credits, and settlements that are tried again.
extension Simulation {
    // MARK: - Rebuilding

    func beginRebuild(_ thread: SimulatedThread, for caller: SimulatedThread.Layer) {
        thread.rebuildCaller = caller
        thread.rebuild = RebuildMachine()
        thread.rebuildDeadline = now + 1_000
        thread.leaseToken = nextToken
        nextToken += 1
        drive(thread, rebuild: .begin)
    }

    func drive(_ thread: SimulatedThread, rebuild event: RebuildMachine.Event) {
        thread.layer = .rebuild
        let isTogether = breakage == .epochAndSnapshotTogether
        switch thread.rebuild.next(after: event) {
        case .identify: send(thread, .register)
        case .takeLease: send(thread, .takeLease)
        case .pause:
            thread.phase = .ready
            thread.pausedUntil = now + 80
        case .raiseEpoch(let seen):
            send(
                thread,
                isTogether
                    ? .raiseEpochWithSnapshot(above: seen) : .raiseEpoch(above: seen, change: thread.change))
        case .readSnapshot:
            if isTogether {
                drive(thread, rebuild: .snapshotRead(isKnown: true))
            } else {
                send(thread, .readSnapshot)
            }
        case .install(let epoch):
            guard let snapshot = thread.snapshot else { preconditionFailure("nothing to install") }
            send(thread, .install(epoch: epoch, snapshot))
        case .finish: endRebuild(thread, nil)
        case .fail(let error): endRebuild(thread, error)
        }
    }

    func answerRebuild(_ thread: SimulatedThread) {
        switch thread.answer {
        case .registered(let life, let change):
            learn(thread.process, life, change)
            thread.incarnation = number(of: life, change)
            thread.change = change
            drive(thread, rebuild: .identified)
        case .closed: endRebuild(thread, .inDatabaseMode)
        case .otherChange:
            learn(thread.process, 0, 0)
            drive(thread, rebuild: .modeChanged(isLate: now > thread.rebuildDeadline))
        case .lease(let reply): drive(thread, rebuild: .leaseAnswered(reply))
        case .epoch(let epoch): drive(thread, rebuild: .epochRaised(epoch))
        case .snapshot(let snapshot):
            thread.snapshot = snapshot
            let isTogether = breakage == .epochAndSnapshotTogether
            drive(thread, rebuild: isTogether ? .epochRaised(snapshot.epoch) : .snapshotRead(isKnown: true))
        case .install(let reply):
            drive(thread, rebuild: .installAnswered(reply, isLate: now > thread.rebuildDeadline))
        default: endRebuild(thread, .unavailable(""))
        }
    }

    private func endRebuild(_ thread: SimulatedThread, _ error: SettlementError?) {
        switch thread.rebuildCaller {
        case .reserve: drive(thread, reserve: error.map { .rebuildFailed($0) } ?? .rebuilt)
        case .extend: drive(thread, extend: error == nil ? .rebuilt : .failed)
        case .credit: drive(thread, credit: error.map { .imageFailed($0) } ?? .rebuilt)
        default: thread.layer = .idle
        }
    }

    // MARK: - Credits

    func beginCredit(_ thread: SimulatedThread) -> Bool {
        guard thread.creditsLeft > 0, isDraining || draw(10) == 0 else { return false }
        thread.creditAmount = Int64(40 + 7 * thread.creditID)
        thread.creditCaller = .idle
        addCredit(thread)
        return true
    }

    private func addCredit(_ thread: SimulatedThread) {
        thread.day = Simulation.days[dayIndex]
        thread.credit = CreditMachine()
        drive(thread, credit: .begin)
    }

    func drive(_ thread: SimulatedThread, credit event: CreditMachine.Event) {
        thread.layer = .credit
        switch thread.credit.next(after: event) {
        case .addToLedger:
            send(thread, .addCredit(externalID: thread.creditID, amount: thread.creditAmount))
        case .apply(let sequence):
            thread.catchUp = (0, 0)
            send(thread, .applyCredit(sequence: sequence, amount: thread.creditAmount))
        case .rebuild: beginRebuild(thread, for: .credit)
        case .catchUp(let known, let sequence):
            thread.catchUp = (known + 1, sequence)
            send(thread, .readCredits)
        case .closeTask(let sequence): send(thread, .closeTask(.credit(sequence: sequence)))
        case .finish(let outcome):
            switch thread.creditCaller {
            case .retry: drive(thread, retry: .refunded(outcome))
            case .outbox: doNextTask(thread)
            default:
                thread.layer = .idle
                forgetCredit(thread)
            }
        case .fail: failCredit(thread)
        }
    }

    /// Nobody asks for this credit any more.
    func forgetCredit(_ thread: SimulatedThread) {
        thread.creditsLeft -= 1
        thread.creditID += 1
    }

    func answerCredit(_ thread: SimulatedThread) {
        switch (thread.answer, thread.message?.effect) {
        case (.credited(let outcome), _):
            thread.creditOutcome = outcome
            if breakage == .creditTaskApart, case .added(let sequence) = outcome {
                send(thread, .writeTask(.credit(sequence: sequence)))
            } else {
                drive(thread, credit: .added(outcome))
            }
        case (_, .writeTask): drive(thread, credit: .added(thread.creditOutcome))
        case (_, .closeTask): drive(thread, credit: .taskClosed)
        case (.done, _): catchUp(thread)
        case (.credit(let reply), _):
            if thread.catchUp.end > 0 {
                catchUp(thread)
            } else if breakage == .creditMissDone, reply == .missing {
                drive(thread, credit: .applied(.done(balance: .zero)))
            } else {
                drive(thread, credit: .applied(reply))
            }
        case (_, .addCredit): failCredit(thread)
        default: drive(thread, credit: .imageFailed(.unavailable("")))
        }
    }

    /// Applies the next credit that the image lacks.
    private func catchUp(_ thread: SimulatedThread) {
        let next = thread.catchUp.next
        guard next < thread.catchUp.end else {
            drive(thread, credit: .caughtUp)
            return
        }
        thread.catchUp.next += 1
        send(thread, .applyCredit(sequence: next, amount: ledger.credits[Int(next) - 1].amount))
    }

    private func failCredit(_ thread: SimulatedThread) {
        // Whoever adds a credit asks for it until it is there, and a task stays until it is done.
        switch thread.creditCaller {
        case .retry: drive(thread, retry: .failed)
        case .outbox: doNextTask(thread)
        default: thread.layer = .idle
        }
    }

    // MARK: - Trying again

    func beginRetry(_ thread: SimulatedThread) -> Bool {
        guard let task = processes[thread.process].tasks.first else { return false }
        thread.trace = task.end.trace
        thread.retry = RetryMachine(wanted: task.end.end)
        if task.isImageOnly, processes[thread.process].side == .ledger {
            processes[thread.process].tasks.removeFirst()
        } else if task.isImageOnly {
            thread.layer = .retry
            send(thread, .settleImage(task.end))
        } else {
            drive(thread, retry: .begin)
        }
        return true
    }

    func retryEvent(_ thread: SimulatedThread) -> RetryMachine.Event {
        switch thread.answer {
        case .row(let outcome): .written(outcome)
        case .done: .buried
        case .settle: .imageSettled
        default:
            if case .settleImage? = thread.message?.effect { .imageFailed } else { .failed }
        }
    }

    func drive(_ thread: SimulatedThread, retry event: RetryMachine.Event) {
        thread.layer = .retry
        let task = processes[thread.process].tasks[0]
        guard !task.isImageOnly else {
            if case .imageSettled = event { endRetry(thread, nil) } else { endRetry(thread, task) }
            return
        }
        var end = task.end
        switch thread.retry.next(after: event) {
        case .endRow: send(thread, .endRow(end.end))
        case .bury: send(thread, .bury(end))
        case .refund(let charge):
            reach(.refund)
            thread.creditCaller = .retry
            thread.creditID = Simulation.refundID(of: end.trace)
            thread.creditAmount = charge.nanodollars
            addCredit(thread)
        case .settleImage(let rowEnd):
            end.end = rowEnd
            if processes[thread.process].side == .ledger {
                drive(thread, retry: .imageSettled)
            } else {
                send(thread, .settleImage(end))
            }
        case .queueImage(let rowEnd):
            end.end = rowEnd
            processes[thread.process].tasks.append(SimulatedTask(end: end, isImageOnly: true))
            drive(thread, retry: .queued)
        case .finish: endRetry(thread, nil)
        case .putBack: endRetry(thread, task)
        }
    }

    private func endRetry(_ thread: SimulatedThread, _ again: SimulatedTask?) {
        thread.layer = .idle
        processes[thread.process].tasks.removeFirst()
        if let again { processes[thread.process].tasks.append(again) }
    }

    static func refundID(of trace: Int) -> Int { 1_000 + trace }
}
