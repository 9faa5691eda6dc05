import Core
import Ledger
import Quota
import Settlement

// A request: what a worker does from its order to the last byte.
extension Simulation {
    /// Begins a request, or the same once more; false when there are no more.
    func beginRequest(_ thread: SimulatedThread) -> Bool {
        if thread.againAfter > 0 {
            guard now > thread.againAfter else { return false }
            thread.againAfter = 0
        } else {
            guard !isDraining, tracesUsed < options.tracesMax else { return false }
            thread.trace = tracesUsed
            tracesUsed += 1
            // Some ask for more than there is, and can do with little.
            let isLarge = options.onlyHolds == nil && draw(8) == 0
            thread.amount = options.onlyHolds?.each ?? Int64(30 + draw(4) * 20 + (isLarge ? 500 : 0))
            thread.asked = thread.amount
            thread.least = isLarge ? 10 : thread.amount
            thread.isStream = draw(2) == 0
            thread.delivered = 0
            truths[thread.trace].createdAt = now
            if options.onlyHolds == nil, draw(3) == 0 { keys[thread.trace] = draw(Simulation.keysMax) }
        }
        thread.day = Simulation.days[max(0, dayIndex - processes[thread.process].lag)]
        if keys[thread.trace] >= 0 {
            thread.layer = .claim
            send(thread, .readClaim)
        } else {
            beginReserve(thread)
        }
        return true
    }

    private func beginReserve(_ thread: SimulatedThread) {
        thread.route = ReserveRoute()
        drive(thread, route: .begin(processes[thread.process].side))
    }

    /// A request with an idempotency key has learned what stands under it.
    func answerClaim(_ thread: SimulatedThread) {
        let decision: ClaimDecision
        switch thread.answer {
        case .claim(let standing) where breakage == .claimReleasedThoughCommitted:
            decision = standing?.status == .pending ? .refuse(.running) : .run
        case .claim(let standing): decision = ClaimDecision(standing)
        default: decision = .refuse(.running)
        }
        if decision == .run {
            beginReserve(thread)
        } else {
            reach(.keyRefused)
            thread.layer = .idle
            truths[thread.trace].client = .refused
        }
    }

    // MARK: - Reserving

    func reserveEvent(_ thread: SimulatedThread, _ effect: Effect) -> ReserveMachine.Event {
        switch (thread.answer, effect) {
        case (.deduct(let reply), _): return .deducted(reply)
        case (.row(let outcome), _):
            if case .unknown = outcome, let held = thread.held {
                // Perhaps a row stands: nobody else would end it.
                let end = holdEnd(thread, held, RowEnd(charge: .zero, status: .voided))
                processes[thread.process].tasks.append(SimulatedTask(end: end, isImageOnly: false))
            }
            return .inserted(outcome)
        case (.standing(let standing), _): return .standing(standing)
        case (_, .readStanding): return .standingUnknown
        case (.settle, _): return .released
        case (_, .settleImage(let end)):
            processes[thread.process].tasks.append(SimulatedTask(end: end, isImageOnly: true))
            return .released
        case (.done, _): return .dropped
        case (.lost, .deduct):
            // The same order may be given once more, but not before Redis refuses this one.
            if draw(2) == 0, let message = thread.message { thread.againAfter = message.notAfter }
            return .deductFailed(.unreachable(""))
        default: return .deductFailed(.unreachable(""))
        }
    }

    func drive(_ thread: SimulatedThread, reserve event: ReserveMachine.Event) {
        thread.layer = .reserve
        switch thread.reserve.next(after: event) {
        case .deduct: send(thread, .deduct(amount: thread.asked, least: thread.least, day: thread.day))
        case .insertPending(let held):
            thread.held = held
            thread.amount = breakage == .loweredHoldUntold ? thread.asked : held.amount.nanodollars
            send(thread, .insertPending(held, amount: thread.amount))
        case .rebuild: beginRebuild(thread, for: .reserve)
        case .readStanding: send(thread, .readStanding)
        case .drop(let standing):
            reach(.droppedImage)
            send(thread, .drop(standing))
        case .release(let held):
            send(
                thread, .settleImage(holdEnd(thread, held, RowEnd(charge: .zero, status: .voided))))
        case .finish: callProvider(thread)
        case .fail(.inDatabaseMode): drive(thread, route: .imageClosed)
        case .fail(let error): refuse(thread, error)
        }
    }

    func refuse(_ thread: SimulatedThread, _ error: SettlementError) {
        if case .refused = error { refusals += 1 }
        note("\(name(thread)) #\(thread.trace) \(error)")
        thread.layer = .idle
        if thread.againAfter == 0 { truths[thread.trace].client = .refused }
    }

    func holdEnd(_ thread: SimulatedThread, _ held: HeldAmount, _ end: RowEnd) -> HoldEnd {
        HoldEnd(
            trace: thread.trace, epoch: held.epoch, rseq: held.rseq, amount: thread.amount,
            day: held.period.day, end: end)
    }

    // MARK: - The provider

    func callProvider(_ thread: SimulatedThread) {
        thread.layer = .provider
        // Now and then the provider does not keep to the cap.
        thread.cost = Int64(1 + draw(min(Int(thread.amount), 90) + 20))
        thread.isEnding = false
        if !ledger.rows[thread.trace].isVisible { violate("I8: #\(thread.trace) is called without a row") }
        checkCalledOnce(thread.trace)
        guard options.onlyHolds != nil else { return }
        admissions += 1
        thread.layer = .idle
    }

    func stepProvider(_ thread: SimulatedThread) {
        switch draw(12) {
        case 0: end(thread, isComplete: false)
        case 1..<4: end(thread, isComplete: true)
        case 4..<6 where thread.isStream && thread.delivered > 0: beginExtend(thread)
        case 6..<8 where thread.isStream && thread.delivered > 0:
            thread.layer = .checkpoint
            send(thread, .writeCheckpoint(thread.delivered))
        default:
            guard thread.isStream, thread.delivered < thread.amount else { return }
            thread.delivered = min(thread.amount, thread.delivered + Int64(1 + draw(20)))
            truths[thread.trace].delivered = thread.delivered
        }
    }

    /// The answer has come to its end, or broke off.
    private func end(_ thread: SimulatedThread, isComplete: Bool) {
        let unseen = thread.isStream && thread.delivered > 0 && draw(4) == 0 ? Int64(draw(40)) : 0
        thread.due = (thread.isStream ? thread.delivered : isComplete ? thread.cost : 0) + unseen
        guard thread.due > thread.amount else { return settle(thread) }
        reach(.extendedAtEnd)
        thread.isEnding = true
        thread.extend = ExtendMachine(to: Money(nanodollars: thread.due))
        drive(thread, extend: .begin)
    }

    /// Charges what the answer costs, as far as it is held.
    private func settle(_ thread: SimulatedThread) {
        if thread.due > thread.amount { reach(.overrun) }
        let charge = breakage == .chargedBeyondHold ? thread.due : min(thread.due, thread.amount)
        let isCharged = charge > 0
        thread.wanted = RowEnd(
            charge: Money(nanodollars: charge), status: isCharged ? .committed : .voided)
        truths[thread.trace].charge = charge
        truths[thread.trace].bringsTask = isCharged && draw(3) == 0
        thread.settle = SettleMachine(wanted: thread.wanted)
        drive(thread, settle: .begin)
    }

    // MARK: - Extending

    private func beginExtend(_ thread: SimulatedThread) {
        thread.extend = ExtendMachine(to: Money(nanodollars: thread.amount + Int64(10 + draw(3) * 20)))
        drive(thread, extend: .begin)
    }

    func extendEvent(_ thread: SimulatedThread, _ effect: Effect) -> ExtendMachine.Event {
        switch (thread.answer, effect) {
        case (.extend(let reply), _): .imageAnswered(reply)
        case (.raise(let outcome), _): .rowAnswered(outcome)
        case (.lost, .raiseRow): .rowAnswered(.unknown)
        case (.refused, .raiseRow): .rowAnswered(.failed)
        case (.standing(let standing), _): .standing(standing)
        case (.done, _): .dropped
        default: .failed
        }
    }

    func drive(_ thread: SimulatedThread, extend event: ExtendMachine.Event) {
        thread.layer = .extend
        switch thread.extend.next(after: event) {
        case .extendImage(let amount):
            thread.wantedAmount = amount.nanodollars
            send(thread, .extendImage(to: amount.nanodollars))
        case .raiseRow(let amount, let epoch):
            if breakage == .extensionUncounted {
                send(thread, .raiseRow(to: thread.wantedAmount, epoch: epoch))
            } else {
                send(thread, .raiseRow(to: amount.nanodollars, epoch: epoch))
            }
        case .rebuild: beginRebuild(thread, for: .extend)
        case .readStanding: send(thread, .readStanding)
        case .drop(let standing): send(thread, .drop(standing))
        case .finish(let amount):
            thread.amount = max(thread.amount, amount.nanodollars)
            if thread.isEnding { settle(thread) } else { thread.layer = .provider }
        case .refuse, .overruled, .fail:
            if thread.isEnding { settle(thread) } else { end(thread, isComplete: false) }
        }
    }

    // MARK: - Settling

    func answerSettle(_ thread: SimulatedThread, _ effect: Effect) {
        if breakage == .redisSettledFirst, thread.imageReply == nil {
            thread.imageReply = .missing
            send(thread, .endRow(thread.wanted))
            return
        }
        switch (thread.answer, effect) {
        case (.row(.written), .endRow)
        where breakage == .chargeTaskApart && thread.message?.bringsTask == true:
            send(thread, .writeTask(.event(trace: thread.trace)))
        case (_, .writeTask): drive(thread, settle: .written(.written))
        case (.row(let outcome), _): drive(thread, settle: .written(outcome))
        case (.settle(let reply), _): drive(thread, settle: .imageSettled(reply))
        default: drive(thread, settle: .imageFailed)
        }
    }

    func drive(_ thread: SimulatedThread, settle event: SettleMachine.Event) {
        thread.layer = .settle
        guard let held = thread.held else { preconditionFailure("only what is held is settled") }
        switch thread.settle.next(after: event) {
        case .endRow:
            thread.imageReply = nil
            if breakage == .redisSettledFirst {
                send(thread, .settleImage(holdEnd(thread, held, thread.wanted)))
            } else {
                send(thread, .endRow(thread.wanted))
            }
        case .settleImage(let end):
            if breakage == .redisSettledFirst, let reply = thread.imageReply {
                drive(thread, settle: .imageSettled(reply))
            } else if processes[thread.process].side == .ledger {
                drive(thread, settle: .imageSettled(.missing))
            } else {
                send(thread, .settleImage(holdEnd(thread, held, end)))
            }
        case .queueImage(let end):
            queue(thread, holdEnd(thread, held, end), isImageOnly: true)
        case .queueRow:
            // A client that has seen nothing is told of the failure, and must then not be charged.
            let isSeen = thread.delivered > 0
            let otherwise = isSeen ? thread.wanted : RowEnd(charge: .zero, status: .voided)
            queue(thread, holdEnd(thread, held, otherwise), isImageOnly: false)
        case .finish(let end, _): finish(thread, end)
        case .fail(let error):
            note("\(name(thread)) #\(thread.trace) \(error)")
            if case .overruled = error { reach(.overruled) }
            truths[thread.trace].client = thread.delivered > 0 ? .interrupted : .refused
            thread.layer = .idle
        }
    }

    private func queue(_ thread: SimulatedThread, _ end: HoldEnd, isImageOnly: Bool) {
        processes[thread.process].tasks.append(SimulatedTask(end: end, isImageOnly: isImageOnly))
        drive(thread, settle: .queued)
    }

    /// The last bytes go out.
    private func finish(_ thread: SimulatedThread, _ end: RowEnd) {
        thread.layer = .idle
        guard end.status == .committed else {
            truths[thread.trace].client = .refused
            return
        }
        // It is told what the ledger says, should another have ended the row.
        truths[thread.trace].client = .answered
        truths[thread.trace].charge = end.charge.nanodollars
        if ledger.rows[thread.trace].state != .committed {
            violate("I10: #\(thread.trace) is answered and not committed")
        }
    }
}
