import Core
import Ledger
import Postgres
import Quota

/// Raises holds of requests that run: the image first, then the row.
///
/// Blocking, two round trips as a rule; any number of threads may use it at the same time.
package struct HoldExtender: Sendable {
    /// What came of it.
    package enum Outcome: Sendable {
        /// The hold as it is now, which may be less than was asked for.
        case extended(Hold)
        /// There is no more money.
        case refused
        /// Another has ended the request.
        case overruled
        /// It cannot be decided now; it may be tried again.
        case failed
    }

    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let writer: LedgerWriter
    private let builder: ImageBuilder
    private let retries: SettlementRetries

    init(
        quota: QuotaStore, ledger: LedgerStore, writer: LedgerWriter, builder: ImageBuilder,
        retries: SettlementRetries
    ) {
        self.quota = quota
        self.ledger = ledger
        self.writer = writer
        self.builder = builder
        self.retries = retries
    }

    func extend(_ hold: Hold, to amount: Money) -> Outcome {
        var machine = ExtendMachine(to: amount)
        var event = ExtendMachine.Event.begin
        while true {
            switch machine.next(after: event) {
            case .extendImage(let amount): event = askImage(hold, amount)
            case .raiseRow(let amount, let epoch): event = raiseRow(hold, amount, epoch)
            case .rebuild: event = rebuild(hold)
            case .readStanding: event = standing(of: hold.tenant)
            case .drop(let standing): event = drop(hold.tenant, unless: standing)
            case .finish(let amount): return .extended(hold.raised(to: max(hold.amount, amount)))
            case .refuse: return .refused
            case .overruled: return .overruled
            case .fail: return .failed
            }
        }
    }

    private func askImage(_ hold: Hold, _ amount: Money) -> ExtendMachine.Event {
        do throws(QuotaError) {
            return .imageAnswered(
                try quota.extend(
                    HoldExtension(
                        tenant: hold.tenant, trace: hold.trace, epoch: hold.held.epoch,
                        rseq: hold.held.rseq, budgetKey: hold.held.budget == nil ? nil : hold.key,
                        amount: amount)))
        } catch {
            return .failed
        }
    }

    private func raiseRow(_ hold: Hold, _ amount: Money, _ epoch: Int64) -> ExtendMachine.Event {
        let raise = HoldRaise(tenant: hold.tenant, trace: hold.trace, epoch: epoch, amount: amount)
        let outcome = writer.write(.raise(raise))
        retries.noteLedger(outcome)
        return .rowAnswered(RaiseOutcome(outcome))
    }

    private func rebuild(_ hold: Hold) -> ExtendMachine.Event {
        do throws(SettlementError) {
            try builder.warm(hold.tenant, in: hold.held.period, until: builder.waitDeadline)
            return .rebuilt
        } catch {
            return .failed
        }
    }

    private func standing(of tenant: TenantID) -> ExtendMachine.Event {
        do throws(PostgresError) {
            return .standing(try LedgerReader.standing(ledger.database, of: tenant))
        } catch {
            return .failed
        }
    }

    private func drop(_ tenant: TenantID, unless standing: TenantStanding) -> ExtendMachine.Event {
        do throws(QuotaError) {
            try quota.drop(
                tenant: tenant, unlessEpoch: standing.epoch, creditSequence: standing.creditSequence,
                limitsVersion: standing.limitsVersion)
            return .dropped
        } catch {
            return .failed
        }
    }
}
