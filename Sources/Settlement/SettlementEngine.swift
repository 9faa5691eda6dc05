package import Core
package import Ledger
import Postgres
package import Quota
package import Redis
package import Threads

/// Where the hot balance and the ledger meet: takes holds, makes them durable, and ends each exactly once.
///
/// Blocking; any number of worker threads may use it at the same time.
package final class SettlementEngine: Sendable {
    let quota: QuotaStore
    let ledger: LedgerStore
    private let builder: ImageBuilder
    let retries: SettlementRetries
    private let credits: CreditWriter
    let lane: SettlementLane
    let mode: DatabaseMode?
    let crashPoints: CrashPoints
    private let room: WaitingRoom
    let extender: HoldExtender

    /// Creates the engine over its two sides.
    ///
    /// - Parameters:
    ///   - mode: The mode of the installation; nil where reservations are made in Redis and nowhere else.
    ///   - settleWait: Who may wait for money that only outstanding holds keep from them.
    package init(
        quota: QuotaStore, ledger: LedgerStore, writer: LedgerWriter, builder: ImageBuilder,
        retries: SettlementRetries, mode: DatabaseMode? = nil, settleWait: SettleWait = .none,
        crashPoints: CrashPoints = CrashPoints(), times: TripTimes = .untold
    ) {
        self.quota = quota
        self.ledger = ledger
        self.builder = builder
        self.retries = retries
        credits = CreditWriter(quota: quota, ledger: ledger, builder: builder)
        lane = SettlementLane(
            quota: quota, writer: writer, mode: mode, crashPoints: crashPoints, times: times)
        self.mode = mode
        self.crashPoints = crashPoints
        room = WaitingRoom(settleWait)
        extender = HoldExtender(
            quota: quota, ledger: ledger, writer: writer, builder: builder, retries: retries)
    }

    /// How many requests wait for holds to end.
    package var waitingCount: Int { room.waitingCount }

    /// Lets those who wait hear of what other processes settle, for as long as what is returned lives; nil when nobody may wait.
    package func hearSettlements() throws(WorkerThread.CreationError) -> RedisSubscriber? {
        guard room.isOpen else { return nil }
        return try quota.hearSettled { [room] tenant in room.noteSettled(tenant) }
    }

    // MARK: - Reserving

    /// Takes the money and makes the hold durable, or takes nothing.
    ///
    /// A request that only outstanding holds of its tenant refuse may wait for these to end, behind those who wait already.
    package func reserve(_ order: ReserveOrder) throws(SettlementError) -> Hold {
        guard room.isOpen else { return try attempt(order) }
        let deadline = room.deadline
        if !room.isOccupied(by: WaitingLine(order)) {
            if case .held(let hold) = try attemptBesideHolds(order, until: deadline) { return hold }
        }
        guard let place = room.enter(WaitingLine(order)) else {
            guard let refusal = room.refusal(of: WaitingLine(order)) else { return try attempt(order) }
            throw .refused(refusal)
        }
        defer { room.leave(place) }
        while room.wait(place, until: deadline) {
            switch try attemptBesideHolds(order, until: deadline) {
            case .held(let hold): return hold
            case .inTheWay(let refusal): room.note(refusal, for: place)
            }
        }
        guard let refusal = room.refusal(of: WaitingLine(order)) else { return try attempt(order) }
        throw .refused(refusal)
    }

    private enum Attempt {
        case held(Hold)
        /// Only outstanding holds keep the order from being admitted.
        case inTheWay(QuotaRefusal)
    }

    /// Tries to reserve, again and again while holds end beside it; throws when no end of holds could help.
    private func attemptBesideHolds(
        _ order: ReserveOrder, until deadline: Deadline
    ) throws(SettlementError) -> Attempt {
        var last: QuotaRefusal?
        while true {
            do throws(SettlementError) { return .held(try attempt(order)) } catch {
                guard case .refused(let refusal) = error else { throw error }
                if isForHolds(refusal, order) { return .inTheWay(refusal) }
                // Holds may have ended after the refusal and before they were looked at. Refused twice in the same words, nothing has.
                guard refusal.isOfMoney, refusal != last, !deadline.isPast else { throw error }
                last = refusal
            }
        }
    }

    /// Whether only holds are in the way of an order that was refused.
    private func isForHolds(_ refusal: QuotaRefusal, _ order: ReserveOrder) -> Bool {
        guard refusal.isOfMoney else { return false }
        do throws(QuotaError) {
            return refusal.isForHolds(try holds(beside: order), amount: order.least, key: order.key)
        } catch {
            // Who cannot be told has been refused all the same.
            return false
        }
    }

    /// Takes a hold in the tenant's image in Redis, and makes it durable.
    func attemptInImage(_ order: ReserveOrder) throws(SettlementError) -> Hold {
        var machine = ReserveMachine()
        var event = ReserveMachine.Event.begin
        var inserted: LedgerWriter.Outcome?
        let deadline = builder.waitDeadline
        while true {
            switch machine.next(after: event) {
            case .deduct:
                (event, inserted) = take(order)
            case .insertPending:
                // Whoever took the hold has inserted its row, too.
                guard let outcome = inserted else { preconditionFailure("a hold is taken with its row") }
                event = .inserted(outcome)
            case .rebuild: event = rebuild(order, until: deadline)
            case .readStanding: event = standing(of: order.tenant)
            case .drop(let standing): event = drop(order.tenant, unless: standing)
            case .release(let held):
                release(hold(order, held))
                event = .released
            case .finish(let held): return hold(order, held)
            case .fail(let error): throw error
            }
        }
    }

    private func take(_ order: ReserveOrder) -> (ReserveMachine.Event, LedgerWriter.Outcome?) {
        guard let taken = lane.take(order) else { return (.deductFailed(.overloaded), nil) }
        let reply: DeductReply
        do throws(QuotaError) { reply = try taken.deducted.get() } catch {
            return (.deductFailed(error), nil)
        }
        guard case .held(let held) = reply, let inserted = taken.inserted else {
            return (.deducted(reply), nil)
        }
        retries.noteLedger(inserted)
        if case .unknown = inserted { voidUnknown(order, held) }
        crashPoints.pass(.pending)
        return (.deducted(reply), inserted)
    }

    private func rebuild(_ order: ReserveOrder, until deadline: Deadline) -> ReserveMachine.Event {
        do throws(SettlementError) {
            try builder.warm(order.tenant, in: order.period, until: deadline)
            return .rebuilt
        } catch {
            return .rebuildFailed(error)
        }
    }

    private func standing(of tenant: TenantID) -> ReserveMachine.Event {
        do throws(PostgresError) {
            return .standing(try LedgerReader.standing(ledger.database, of: tenant))
        } catch {
            return .standingUnknown
        }
    }

    private func drop(_ tenant: TenantID, unless standing: TenantStanding) -> ReserveMachine.Event {
        do throws(QuotaError) {
            try quota.drop(
                tenant: tenant, unlessEpoch: standing.epoch, creditSequence: standing.creditSequence,
                limitsVersion: standing.limitsVersion)
            return .dropped
        } catch {
            return .deductFailed(error)
        }
    }

    // MARK: - Ending

    /// Ends a hold: the ledger first, then the image.
    ///
    /// When another has ended the row before (the sweeper, for a process believed dead), what the ledger says is obeyed.
    ///
    /// - Parameter otherwise: What is queued and tried again when the settlement cannot be made durable now. A client that was
    ///   told of the failure must not be charged: then it is a voided one.
    /// - Throws: ``SettlementError/notDurable(_:)`` when it could not be made durable, ``SettlementError/overruled(_:)`` when
    ///   another has ended it otherwise.
    package func settle(
        _ hold: Hold, _ settlement: RowSettlement, otherwise: RowSettlement
    ) throws(SettlementError) -> Settled {
        crashPoints.pass(.answered)
        var machine = SettleMachine(wanted: RowEnd(settlement))
        var event = SettleMachine.Event.begin
        var inImage: Result<SettleReply, QuotaError>?
        while true {
            switch machine.next(after: event) {
            case .endRow: (event, inImage) = end(hold, settlement)
            case .settleImage:
                // Whoever has ended the row has settled Redis, too.
                guard let inImage else { preconditionFailure("a row is ended together with its hold") }
                event = settled(inImage, of: hold.tenant)
                crashPoints.pass(.settled)
            case .queueImage(let end):
                retries.enqueueImage(HoldSettlement(hold, end, tokens: settlement.usage.total))
                event = .queued
            case .queueRow:
                retries.enqueue(hold, otherwise)
                event = .queued
            case .finish(let end, let reply): return Settled(charge: end.charge, balance: reply?.balance)
            case .fail(let error): throw error
            }
        }
    }

    private func end(
        _ hold: Hold, _ settlement: RowSettlement
    ) -> (SettleMachine.Event, Result<SettleReply, QuotaError>?) {
        guard let ended = lane.end(hold, settlement) else { return (.overloaded, nil) }
        retries.noteLedger(ended.written)
        return (.written(ended.written), ended.settled)
    }

    /// What came of settling an image; whoever waits for its money is called.
    private func settled(
        _ inImage: Result<SettleReply, QuotaError>, of tenant: TenantID
    ) -> SettleMachine.Event {
        guard case .success(let reply) = inImage else { return .imageFailed }
        // In the ledger the money is free as soon as the row has ended.
        if reply != .missing || mode?.side == .ledger { room.noteSettled(tenant) }
        return .imageSettled(reply)
    }

    /// Voids a hold: nothing is charged, everything is given back.
    ///
    /// Never throws: what fails is queued and tried again.
    package func void(_ hold: Hold, _ settlement: RowSettlement) {
        precondition(settlement.status == .voided && settlement.charge == .zero)
        // A failure has queued the settlement already; there is nobody left to tell.
        do throws(SettlementError) { _ = try settle(hold, settlement, otherwise: settlement) } catch {}
    }

    /// Gives back a hold that has no row; one that Redis does not answer is settled later, by the retries or the sweeper.
    private func release(_ hold: Hold) {
        let settlement = HoldSettlement(hold, RowEnd(charge: .zero, status: .voided), tokens: 0)
        do throws(QuotaError) {
            if try quota.settle(settlement) != .missing { room.noteSettled(hold.tenant) }
        } catch {
            retries.enqueueImage(settlement)
        }
    }

    // MARK: - Limits

    /// Lets go of a tenant's image when the ledger has newer limits than it; the next request rebuilds it.
    ///
    /// To be called after limits were changed. Without it every gateway does the same once it has heard of the change.
    package func applyLimits(of tenant: TenantID) throws(SettlementError) {
        let standing = try orUnavailable { () throws(PostgresError) in
            try LedgerReader.standing(ledger.database, of: tenant)
        }
        guard let standing else { throw .unknownTenant }
        try orUnavailable { () throws(QuotaError) in
            try quota.drop(
                tenant: tenant, unlessEpoch: standing.epoch, creditSequence: standing.creditSequence,
                limitsVersion: standing.limitsVersion)
        }
    }

    // MARK: - Credits

    /// Adds a credit: the ledger first, then the image.
    ///
    /// It counts once, however often it is asked for.
    package func addCredit(
        _ amount: Money, to tenant: TenantID, kind: String, externalID: String, period: Period
    ) throws(SettlementError) -> CreditOutcome {
        let outcome = try credits.add(
            amount, to: tenant, kind: kind, externalID: externalID, period: period)
        room.noteSettled(tenant)
        return outcome
    }
}
