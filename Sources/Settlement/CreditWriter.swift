package import Core
package import Ledger
import Postgres
package import Quota

/// Adds credits: the ledger first, then the image.
///
/// A credit counts once, however often it is asked for.
package struct CreditWriter: Sendable {
    private let quota: QuotaStore
    private let ledger: LedgerStore
    private let builder: ImageBuilder

    /// Creates a writer over both sides.
    package init(quota: QuotaStore, ledger: LedgerStore, builder: ImageBuilder) {
        self.quota = quota
        self.ledger = ledger
        self.builder = builder
    }

    /// Adds a credit, unless the ledger has it already, and makes sure that the image knows it.
    ///
    /// - Parameter period: The day and month in which an image is rebuilt when none stands.
    package func add(
        _ amount: Money, to tenant: TenantID, kind: String, externalID: String, period: Period
    ) throws(SettlementError) -> CreditOutcome {
        var machine = CreditMachine()
        var event = CreditMachine.Event.begin
        while true {
            switch machine.next(after: event) {
            case .addToLedger:
                event = .added(
                    try orUnavailable { () throws(PostgresError) in
                        try ledger.addCredit(amount, to: tenant, kind: kind, externalID: externalID)
                    })
            case .apply(let sequence):
                event = try unlessOutOfUse { () throws(SettlementError) in
                    .applied(try apply(amount, sequence, to: tenant))
                }
            case .rebuild:
                event = try unlessOutOfUse { () throws(SettlementError) in
                    try builder.warm(tenant, in: period, until: builder.waitDeadline)
                    return .rebuilt
                }
            case .catchUp(let known, let sequence):
                event = try unlessOutOfUse { () throws(SettlementError) in
                    try catchUp(tenant, after: known, before: sequence)
                    return .caughtUp
                }
            case .finish(let outcome): return outcome
            case .fail(let error): throw error
            }
        }
    }

    /// Does something to the image; when that fails because reservations are made in the ledger, there is nothing to do.
    private func unlessOutOfUse(
        _ effect: () throws(SettlementError) -> CreditMachine.Event
    ) throws(SettlementError) -> CreditMachine.Event {
        do throws(SettlementError) { return try effect() } catch {
            // What cannot be asked is as it was: the credit may be asked for again.
            guard (try? ledger.mode())?.isDatabase == true else { throw error }
            return .outOfUse
        }
    }

    private func apply(
        _ amount: Money, _ sequence: Int64, to tenant: TenantID
    ) throws(SettlementError) -> CreditReply {
        try orUnavailable { () throws(QuotaError) in
            try quota.credit(tenant: tenant, sequence: sequence, amount: amount)
        }
    }

    /// Adds to the image what it lacks; whatever it answers, it is asked for the credit itself again.
    private func catchUp(
        _ tenant: TenantID, after known: Int64, before sequence: Int64
    ) throws(SettlementError) {
        let missing = try orUnavailable { () throws(PostgresError) in
            try ledger.credits(of: tenant, after: known)
        }
        for credit in missing where credit.sequence < sequence {
            _ = try apply(credit.amount, credit.sequence, to: tenant)
        }
    }
}
