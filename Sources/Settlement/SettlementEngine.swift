package import Core
package import Ledger
import Postgres
package import Quota
import Threads

/// Where the hot balance and the ledger meet: takes holds, makes them durable, and ends each exactly once.
///
/// Blocking; any number of worker threads may use it at the same time.
package final class SettlementEngine: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let writer: LedgerWriter
    private let builder: ImageBuilder
    private let retries: SettlementRetries
    private let crashPoints: CrashPoints

    /// Creates the engine over its two sides.
    package init(
        quota: QuotaStore, ledger: LedgerStore, writer: LedgerWriter, builder: ImageBuilder,
        retries: SettlementRetries,
        crashPoints: CrashPoints = CrashPoints()
    ) {
        self.quota = quota
        self.ledger = ledger
        self.writer = writer
        self.builder = builder
        self.retries = retries
        self.crashPoints = crashPoints
    }

    // MARK: - Reserving

    /// Takes the money and makes the hold durable, or takes nothing.
    package func reserve(_ order: ReserveOrder) throws(SettlementError) -> Hold {
        guard !retries.isLedgerFailing else { throw .unavailable("PostgreSQL: the last commit failed") }
        var machine = ReserveMachine()
        var event = ReserveMachine.Event.begin
        let deadline = builder.waitDeadline
        while true {
            switch machine.next(after: event) {
            case .deduct: event = deduct(order)
            case .rebuild: event = rebuild(order, until: deadline)
            case .insertPending(let held): event = .inserted(insert(order, held))
            case .readStanding: event = standing(of: order.tenant)
            case .drop(let standing): event = drop(order.tenant, unless: standing)
            case .release(let held):
                settleImage(order.tenant, order.trace, held, charge: .zero, isVoided: true)
                event = .released
            case .finish(let held):
                return Hold(tenant: order.tenant, trace: order.trace, amount: order.amount, held: held)
            case .fail(let error): throw error
            }
        }
    }

    private func deduct(_ order: ReserveOrder) -> ReserveMachine.Event {
        do throws(QuotaError) {
            let reply = try quota.deduct(
                HoldOrder(
                    tenant: order.tenant, trace: order.trace, key: order.key, amount: order.amount,
                    period: order.period))
            crashPoints.pass(.reserved)
            return .deducted(reply)
        } catch {
            return .deductFailed(error)
        }
    }

    private func rebuild(_ order: ReserveOrder, until deadline: Deadline) -> ReserveMachine.Event {
        do throws(SettlementError) {
            try builder.warm(order.tenant, in: order.period, until: deadline)
            return .rebuilt
        } catch {
            return .rebuildFailed(error)
        }
    }

    private func insert(_ order: ReserveOrder, _ held: HeldAmount) -> LedgerWriter.Outcome {
        let outcome = writer.write(
            .pending(
                PendingRow(
                    tenant: order.tenant, trace: order.trace, key: order.key, epoch: held.epoch,
                    rseq: held.rseq,
                    period: held.period, hold: order.amount, limitsVersion: held.limitsVersion,
                    balanceBefore: held.balanceBefore, balanceAfter: held.balanceAfter,
                    deadlineMilliseconds: order.deadlineMilliseconds, capability: order.capability,
                    model: order.model, isStream: order.isStream)))
        retries.noteLedger(outcome)
        if case .unknown = outcome {
            // Perhaps a row stands, of an owner that lives: nobody else would end it.
            let hold = Hold(tenant: order.tenant, trace: order.trace, amount: order.amount, held: held)
            var voided = RowSettlement(tenant: order.tenant, trace: order.trace, status: .voided)
            voided.isError = true
            voided.errorCode = "OUTCOME_UNKNOWN"
            retries.enqueue(hold, voided)
        }
        crashPoints.pass(.pending)
        return outcome
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
        let outcome = writer.write(.settlement(settlement))
        retries.noteLedger(outcome)
        crashPoints.pass(.committed)
        let ended: (charge: Money, status: TransactionStatus)
        switch outcome {
        case .written: ended = (settlement.charge, settlement.status)
        case .standing(let row): ended = (row.charge, row.status)
        case .fenced:
            // A database that was restored, or a standby that took over, has lost the row: nothing can be charged to it.
            retries.enqueue(hold, otherwise)
            throw .notDurable("the ledger has lost the row of this request")
        case .failed(let error), .unknown(let error):
            retries.enqueue(hold, otherwise)
            throw .notDurable("\(error)")
        }
        let balance = settleImage(
            hold.tenant, hold.trace, hold.held, charge: ended.charge, isVoided: ended.status == .voided)
        crashPoints.pass(.settled)
        guard ended.status == settlement.status else {
            throw .overruled("another process has ended this request as \(ended.status.rawValue)")
        }
        return Settled(charge: ended.charge, balance: balance)
    }

    /// Voids a hold: nothing is charged, everything is given back.
    ///
    /// Never throws: what fails is queued and tried again.
    package func void(_ hold: Hold, _ settlement: RowSettlement) {
        precondition(settlement.status == .voided && settlement.charge == .zero)
        // A failure has queued the settlement already; there is nobody left to tell.
        do throws(SettlementError) { _ = try settle(hold, settlement, otherwise: settlement) } catch {}
    }

    /// Settles the image after the ledger; a failure leaves a hold behind that the retries, or the sweeper, settle later.
    @discardableResult
    private func settleImage(
        _ tenant: TenantID, _ trace: TraceID, _ held: HeldAmount, charge: Money, isVoided: Bool
    ) -> Money? {
        do throws(QuotaError) {
            switch try quota.settle(
                tenant: tenant, trace: trace, epoch: held.epoch, rseq: held.rseq, charge: charge,
                isVoided: isVoided)
            {
            case .settled(let balance), .gone(let balance): return balance
            case .missing: return nil
            }
        } catch {
            retries.enqueueImage(
                .init(
                    tenant: tenant, trace: trace, epoch: held.epoch, rseq: held.rseq, charge: charge,
                    isVoided: isVoided))
            return nil
        }
    }

    // MARK: - Credits

    /// Adds a credit: the ledger first, then the image.
    ///
    /// It counts once, however often it is asked for.
    package func addCredit(
        _ amount: Money, to tenant: TenantID, kind: String, externalID: String, period: Period
    ) throws(SettlementError) -> CreditOutcome {
        let outcome = try orUnavailable { () throws(PostgresError) in
            try ledger.addCredit(amount, to: tenant, kind: kind, externalID: externalID)
        }
        switch outcome {
        case .added(let sequence), .repeated(let sequence):
            try applyCredits(of: tenant, upTo: sequence, amount: amount, period: period)
        case .conflict, .unknownTenant, .beyondLimit: break
        }
        return outcome
    }

    private func applyCredits(
        of tenant: TenantID, upTo sequence: Int64, amount: Money, period: Period
    ) throws(SettlementError) {
        // A missing image is rebuilt here rather than left to the next request: a rebuild that had read the ledger before this credit
        // would otherwise install a balance without it.
        for _ in 0..<8 {
            let reply = try orUnavailable { () throws(QuotaError) in
                try quota.credit(tenant: tenant, sequence: sequence, amount: amount)
            }
            switch reply {
            case .applied, .done: return
            case .missing: try builder.warm(tenant, in: period, until: builder.waitDeadline)
            case .gap(let known):
                let missing = try orUnavailable { () throws(PostgresError) in
                    try ledger.credits(of: tenant, after: known)
                }
                for credit in missing where credit.sequence < sequence {
                    _ = try orUnavailable { () throws(QuotaError) in
                        try quota.credit(tenant: tenant, sequence: credit.sequence, amount: credit.amount)
                    }
                }
            }
        }
        throw .unavailable("the tenant's image kept changing")
    }
}
