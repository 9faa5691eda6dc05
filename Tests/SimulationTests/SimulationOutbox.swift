import Core
import Settlement

// After-commit tasks, as the job and the processes do them.
extension Simulation {
    func beginOutbox(_ thread: SimulatedThread) -> Bool {
        guard !ledger.tasks.isEmpty, options.onlyHolds == nil, isDraining || draw(12) == 0 else {
            return false
        }
        guard ledger.tasks.contains(where: { $0.claimedUntil <= now }) else { return false }
        thread.layer = .outbox
        send(thread, .register)
        return true
    }

    func answerOutbox(_ thread: SimulatedThread, _ effect: Effect) {
        switch (effect, thread.answer) {
        case (.register, .registered(let life, let change)):
            learn(thread.process, life, change)
            send(thread, .claimTasks)
        // Credits then wait, and all else is done.
        case (.register, .closed): send(thread, .claimTasks)
        case (.claimTasks, .tasks(let tasks)):
            thread.claimed = tasks
            doNextTask(thread)
        // A task that could not be removed is done once more.
        case (.closeTask, _): doNextTask(thread)
        default: thread.layer = .idle
        }
    }

    /// Does what it has claimed, one after the other.
    func doNextTask(_ thread: SimulatedThread) {
        thread.layer = .outbox
        guard let task = thread.claimed.popLast() else {
            thread.layer = .idle
            return
        }
        switch task {
        case .credit(let sequence):
            reach(.creditTask)
            thread.day = Simulation.days[dayIndex]
            thread.creditCaller = .outbox
            thread.creditAmount = ledger.credits[Int(sequence) - 1].amount
            thread.credit = CreditMachine(taskOf: sequence)
            drive(thread, credit: .begin)
        case .event(let trace):
            if truths[trace].tasksDone > 0 { reach(.taskAgain) }
            truths[trace].tasksDone += 1
            if ledger.rows[trace].state != .committed {
                violate("T2: the task of #\(trace) before its commit")
            }
            send(thread, .closeTask(task))
        }
    }
}
