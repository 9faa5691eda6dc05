import Core
import Ledger
import Postgres
import Settlement

// What goes wrong from outside.
extension Simulation {
    func injectFault() {
        isDirty = true
        switch draw(22) {
        case 0:
            note("Redis is flushed")
            redis.flush()
        case 1:
            note("the image is removed")
            redis.removeImage()
        case 2, 3, 4: saved = redis
        case 5, 6:
            note("Redis restarts with what it had saved")
            redis.restart(with: saved ?? SimulatedRedis(traces: options.tracesMax))
        case 7, 14, 15:
            let process = draw(processes.count)
            note("process \(process) dies")
            kill(process)
        case 8, 9:
            let process = draw(Simulation.responders)
            processes[process].isStalled.toggle()
            note("process \(process) is \(processes[process].isStalled ? "stopped" : "continued")")
        case 10:
            note("PostgreSQL restarts")
            restartPostgres()
        case 11: now += 500
        case 12:
            if dayIndex < Simulation.days.count - 1 { dayIndex += 1 }
            note("it is \(Simulation.days[dayIndex])")
        case 18, 19:
            let process = draw(Simulation.responders)
            note("process \(process) is cut off from Redis")
            processes[process].cutOffUntil = now + Int64(draw(800))
        case 20, 21:
            note("Redis is out of reach")
            let until = now + Int64(draw(800))
            for index in processes.indices { processes[index].cutOffUntil = until }
        case 13: processes[draw(processes.count)].lag = draw(2)
        default: changeLimits()
        }
    }

    private func changeLimits() {
        guard draw(2) == 0 else { return }
        var limits = ledger.current
        limits.version += 1
        limits.creditLimit = Int64(draw(2) * 60)
        limits.dailyQuota = draw(2) == 0 ? Int64(3 + draw(6)) : -1
        ledger.limits.append(limits)
        creditLimitMax = max(creditLimitMax, limits.creditLimit)
        note("limits \(limits)")
    }

    /// Ends a process; another one takes its place.
    private func kill(_ process: Int) {
        for thread in threads where thread.process == process {
            if var message = thread.message, thread.phase == .sent {
                if draw(2) == 0 { abandon(message) } else { end(&message, commits: false) }
            }
            if thread.kind == .worker, thread.layer != .idle || thread.againAfter > 0 {
                truths[thread.trace].client = .cut
            }
            if thread.kind == .credit, thread.layer != .idle, draw(2) == 0 { forgetCredit(thread) }
            thread.reset()
            if thread.kind == .mode { thread.mode = newModeMachine() }
        }
        for task in processes[process].tasks where !task.isImageOnly && task.end.end.status == .voided {
            truths[task.end.trace].isRefundLost = true
        }
        for trace in ledger.rows.indices where ledger.rows[trace].owner == processes[process].owner {
            truths[trace].hadOwnerDie = true
        }
        deadOwners[processes[process].owner] = true
        processes[process] = SimulatedProcess(owner: newOwner())
    }

    /// Whatever was not committed is undone, and who waited for it learns nothing.
    private func restartPostgres() {
        for thread in threads where thread.phase == .sent {
            guard var message = thread.message, message.isOpen else { continue }
            end(&message, commits: false)
            thread.message = message
            thread.answer = message.effect.isRepeated ? .row(.unknown(.timeout)) : .lost
            thread.phase = .answered
        }
        for index in zombies.indices.reversed() where zombies[index].isOpen {
            end(&zombies[index], commits: false)
            zombies.remove(at: index)
        }
    }
}
