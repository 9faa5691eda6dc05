package import Core
import Ledger
import Postgres
import Quota

// Reserving on the side that the mode of the installation says.
extension SettlementEngine {
    /// Takes a hold where reservations are made, or throws why that cannot be.
    func attempt(_ order: ReserveOrder) throws(SettlementError) -> Hold {
        guard !retries.isLedgerFailing else { throw .unavailable("PostgreSQL: the last commit failed") }
        guard let mode else { return try attemptInImage(order) }
        var route = ReserveRoute()
        var event = ReserveRoute.Event.begin(mode.side)
        while true {
            switch route.next(after: event) {
            case .useImage:
                do throws(SettlementError) { return try attemptInImage(order) } catch {
                    guard case .inDatabaseMode = error else { throw error }
                    event = .imageClosed
                }
            case .useLedger:
                if let hold = try attemptInLedger(order) { return hold }
                event = .ledgerClosed
            case .readMode: event = .modeRead(mode.refresh())
            case .fail(let error): throw error
            }
        }
    }

    /// Takes a hold in the ledger; nil when reservations are made in Redis.
    private func attemptInLedger(_ order: ReserveOrder) throws(SettlementError) -> Hold? {
        guard let taken = lane.takeInLedger(order) else {
            throw .unavailable("too many reservations wait already")
        }
        switch taken {
        case .held(let held):
            retries.noteLedger(.written)
            crashPoints.pass(.pending)
            return hold(order, held)
        case .refused(let refusal): throw .refused(refusal)
        case .conflict: throw .conflict
        case .keyTaken: throw .keyInUse
        case .unknownTenant: throw .unknownTenant
        case .closed: return nil
        case .failed(let error):
            retries.noteLedger(.failed(error))
            throw .unavailable("PostgreSQL: \(error)")
        case .unknown(let held, let error):
            retries.noteLedger(.unknown(error))
            voidUnknown(order, held)
            throw .unavailable("PostgreSQL: \(error)")
        }
    }

    /// Ends a row that perhaps stands, of an owner that lives: nobody else would end it.
    func voidUnknown(_ order: ReserveOrder, _ held: HeldAmount) {
        var voided = RowSettlement(tenant: order.tenant, trace: order.trace, status: .voided)
        voided.isError = true
        voided.errorCode = "OUTCOME_UNKNOWN"
        retries.enqueue(hold(order, held), voided)
    }

    func hold(_ order: ReserveOrder, _ held: HeldAmount) -> Hold {
        Hold(tenant: order.tenant, trace: order.trace, amount: held.amount, held: held, key: order.key)
    }

    /// Raises a hold towards an amount, as far as there is money, where reservations are made; it never waits for any.
    package func extend(_ hold: Hold, to amount: Money) -> HoldExtender.Outcome {
        guard let mode else { return extender.extend(hold, to: amount) }
        if mode.side == .ledger {
            switch raiseInLedger(hold, to: amount, mode) {
            case .raised(let held): return .extended(hold.raised(to: max(hold.amount, held)))
            case .refused: return .refused
            case .ended: return .overruled
            case .failed: return .failed
            case .modeLeft: mode.refresh()
            }
        }
        let outcome = extender.extend(hold, to: amount)
        // Perhaps no image may be rebuilt any more: whoever asks again is told by the ledger.
        if case .failed = outcome { mode.refresh() }
        return outcome
    }

    private func raiseInLedger(_ hold: Hold, to amount: Money, _ mode: DatabaseMode) -> LedgerReserver.Raised
    {
        mode.reserver.raise(hold.trace, of: hold.tenant, in: hold.held.period) { basis in
            var image = DetachedImage(
                ImageContents(basis.snapshot, basis.snapshot.standing.epoch), minute: nil)
            return image.raise(hold.trace, to: amount)
        }
    }

    /// The holds of an order's tenant, where they are known.
    func holds(beside order: ReserveOrder) throws(QuotaError) -> [StoredHold] {
        guard mode?.side == .ledger else { return try quota.holds(of: order.tenant) }
        do throws(PostgresError) {
            let snapshot = try LedgerReader.snapshot(ledger.database, of: order.tenant, in: order.period)
            return (snapshot?.holds ?? []).compactMap { entry in
                TraceID(entry.trace).flatMap { StoredHold(trace: $0, stored: entry.hold) }
            }
        } catch {
            throw .unreachable("PostgreSQL: \(error)")
        }
    }
}
