import Core
import Ledger
import Postgres
import Quota
import Settlement

/// How far an effect got.
enum Progress {
    /// It waits for another database transaction.
    case blocked
    /// Its database transaction is open.
    case open
    case answered(Answer)
}

// What Redis and PostgreSQL do with a message.
extension Simulation {
    func execute(_ message: inout Message) -> Progress {
        isDirty = true
        if message.effect.isForRedis {
            // Its connection broke when Redis ended.
            guard message.life == redis.life else { return .answered(.lost) }
            return .answered(ask(message))
        }
        switch message.effect {
        case .insertPending, .raiseRow: return executeFenced(&message)
        case .reserveInLedger(let amount): return reserveInLedger(&message, amount)
        case .raiseEpochWithSnapshot(let seen):
            if message.snapshot == nil { message.snapshot = ledger.snapshot(in: message.day) }
            guard let epoch = ledger.raiseEpoch(above: seen), let snapshot = message.snapshot else {
                return .blocked
            }
            snapshot.epoch = epoch
            return .answered(.snapshot(snapshot))
        case .raiseEpoch(let seen, let change):
            guard ledger.isOpenForImages(since: change) else {
                return .answered(ledger.mode.isDatabase ? .closed : .otherChange)
            }
            guard let epoch = ledger.raiseEpoch(above: seen) else {
                reach(.epochWaited)
                return .blocked
            }
            return .answered(.epoch(epoch))
        case .endRow(let end): return endRow(message, end)
        case .bury(let hold): return ledger.bury(hold) ? .answered(.done) : .blocked
        default: return .answered(read(message))
        }
    }

    // MARK: - Redis

    private func ask(_ message: Message) -> Answer {
        let call = RedisCall(incarnation: message.incarnation, now: now, notAfter: message.notAfter)
        switch message.effect {
        case .deduct(let amount, let least, let day):
            let before = redis
            if redis.holds[message.trace].isHeld { reach(.heldAgain) }
            let reply = redis.deduct(
                call, trace: message.trace, amount: amount, least: least, day: day, breakage)
            checkLate(call, before)
            if case .held(let held) = reply, held.amount.nanodollars < amount {
                reach(.lowered)
                checkLowered(held.amount.nanodollars, least, message.trace, before)
            }
            return .deduct(reply)
        case .extendImage(let amount):
            let before = redis
            let reply = redis.extend(call, trace: message.trace, to: amount, breakage)
            checkLate(call, before)
            return .extend(reply)
        case .settleImage(let end):
            if let day = redis.image?.day, redis.holds[end.trace].isHeld, redis.holds[end.trace].day != day {
                reach(.settledInOtherPeriod)
            }
            let reply = redis.settle(call, end, breakage)
            checkRepeatable { _ = $0.settle(call, end, breakage) }
            return .settle(reply)
        case .applyCredit(let sequence, let amount):
            let reply = redis.credit(call, sequence: sequence, amount: amount, breakage)
            checkRepeatable { _ = $0.credit(call, sequence: sequence, amount: amount, breakage) }
            return .credit(reply)
        case .drop(let standing):
            redis.drop(
                unlessEpoch: standing.epoch, creditSequence: standing.creditSequence,
                limitsVersion: standing.limitsVersion)
            return .done
        case .takeLease:
            return .lease(
                redis.takeLease(
                    call, token: message.token, milliseconds: Simulation.leaseMilliseconds, breakage))
        case .install(let epoch, let snapshot):
            return .install(redis.install(call, token: message.token, epoch: epoch, snapshot))
        case .probe: return .done
        default:
            var found: [HoldEnd] = []
            for trace in redis.holds.indices where redis.holds[trace].isHeld {
                found.append(HoldEnd(trace, redis.holds[trace]))
            }
            return .holds(found)
        }
    }

    /// What is left is given away only whole, and only when nobody else holds anything (I20).
    private func checkLowered(_ amount: Int64, _ least: Int64, _ trace: Int, _ before: SimulatedRedis) {
        guard !before.holds[trace].isHeld else { return }
        let isAll = redis.image.map { $0.balance + $0.limits.creditLimit == 0 } ?? false
        if !isAll || amount < least || before.holds.contains(where: \.isHeld) {
            violate("I20: #\(trace) was given \(amount) beside other holds")
        }
    }

    /// A money script past its `not_after` does nothing (I15).
    private func checkLate(_ call: RedisCall, _ before: SimulatedRedis) {
        if call.isLate, redis != before { violate("I15: a late script changed Redis") }
    }

    /// Repeating a settlement or a credit changes nothing (I14).
    private func checkRepeatable(_ script: (inout SimulatedRedis) -> Void) {
        guard draw(8) == 0 else { return }
        let before = redis
        script(&redis)
        if redis != before { violate("I14: repeating a script changed Redis") }
    }

    // MARK: - PostgreSQL

    private func executeFenced(_ message: inout Message) -> Progress {
        if message.isOpen {
            end(&message, commits: true)
            if case .raiseRow = message.effect { return .answered(.raise(.raised)) }
            return .answered(.row(.written))
        }
        let fenced: SimulatedLedger.Fenced
        switch message.effect {
        case .insertPending(let held, let amount):
            let row = SimulatedRow(
                epoch: held.epoch, rseq: held.rseq, hold: amount, day: held.period.day, owner: message.owner,
                limitsVersion: held.limitsVersion)
            fenced = ledger.insertPending(message.trace, row, key: keys[message.trace], breakage)
            if fenced == .open, ledger.isTakeOver(of: keys[message.trace]) { reach(.keyTakenOver) }
        case .raiseRow(let amount, let epoch):
            fenced = ledger.raiseHold(message.trace, to: amount, epoch: epoch, breakage)
        default: preconditionFailure("no statement of the fence")
        }
        switch fenced {
        case .blocked: return .blocked
        case .open:
            message.isOpen = true
            return .open
        case .nothing: return .answered(standing(message))
        }
    }

    /// Ends the database transaction of a message, if one is open.
    func end(_ message: inout Message, commits: Bool) {
        guard message.isOpen else { return }
        message.isOpen = false
        isDirty = true
        if case .reserveInLedger = message.effect {
            ledger.endReserve(message.trace, message.inserted, commits: commits)
            return
        }
        if case .raiseRow = message.effect {
            ledger.endRaise(message.trace, commits: commits)
        } else {
            ledger.endInsert(message.trace, commits: commits)
            if commits, ledger.rows[message.trace].epoch != ledger.epoch {
                violate("I8: a row was accepted of another epoch than the current")
            }
        }
    }

    /// What the writer finds when a statement of the fence has written nothing.
    private func standing(_ message: Message) -> Answer {
        let row = ledger.rows[message.trace]
        switch message.effect {
        case .insertPending(let held, _):
            guard let standing = ledger.standing(message.trace) else {
                let isTaken = ledger.isTaken(keys[message.trace], for: message.trace)
                if isTaken { reach(.keyTaken) }
                return .row(isTaken ? .keyTaken : .fenced)
            }
            let isOwn =
                row.state == .pending && row.owner == message.owner && row.epoch == held.epoch
                && row.rseq == held.rseq
            return .row(isOwn ? .written : .standing(standing))
        default: return .raise(row.state == .pending ? .fenced : .ended)
        }
    }

    private func endRow(_ message: Message, _ end: RowEnd) -> Progress {
        let before = ledger.rows[message.trace]
        guard let hasEnded = ledger.end(message.trace, as: end, task: message.bringsTask, breakage) else {
            return .blocked
        }
        let after = ledger.rows[message.trace]
        if before.hasEnded, before != after { violate("I5: row \(message.trace) ended twice") }
        if hasEnded { return .answered(.row(.written)) }
        guard let row = ledger.standing(message.trace) else { return .answered(.row(.fenced)) }
        return .answered(.row(RowEnd(row) == end ? .written : .standing(row)))
    }

    /// A statement of its own that commits at once.
    private func read(_ message: Message) -> Answer {
        switch message.effect {
        case .addCredit(let externalID, let amount):
            return .credited(ledger.addCredit(externalID, amount, breakage))
        case .writeTask(let kind):
            ledger.write(kind)
            return .done
        case .closeTask(let kind):
            ledger.close(kind)
            return .done
        case .claimTasks:
            return .tasks(ledger.claimTasks(now: now, until: now + Simulation.claimMilliseconds))
        case .readStanding: return .standing(ledger.tenantStanding)
        case .register: return register(message)
        case .readMode: return .mode(ledger.installationMode)
        case .enterMode(let change):
            if ledger.enterMode(after: change, at: now) { reach(.modeEntered) }
            return .done
        case .leaveMode(let change, let healthy):
            if ledger.leaveMode(after: change, at: now, healthy: healthy) { reach(.modeLeft) }
            return .done
        case .noteLost(let change):
            ledger.noteLost(after: change, at: now)
            return .done
        case .readSnapshot: return .snapshot(ledger.snapshot(in: message.day))
        case .writeCheckpoint(let delivered):
            ledger.checkpoints[message.trace] = delivered
            return .done
        case .readOrphans: return .orphans(orphans())
        case .readRows: return .rows(ledger.rows.indices.map { ledger.standing($0) })
        case .readClaim: return .claim(ledger.claim(keys[message.trace]))
        case .readRow: return .rows([ledger.standing(message.trace)])
        default: return .done
        }
    }

    private func orphans() -> [SimulatedOrphan] {
        var found: [SimulatedOrphan] = []
        for trace in ledger.rows.indices where ledger.rows[trace].state == .pending {
            let row = ledger.rows[trace]
            let isDead =
                deadOwners[row.owner] || processes.contains { $0.owner == row.owner && $0.isStalled }
            if isDead { truths[trace].hadOwnerDie = true }
            found.append(
                SimulatedOrphan(
                    trace: trace, hold: row.hold, isOwnerDead: isDead, checkpoint: ledger.checkpoints[trace]))
        }
        return found
    }
}
