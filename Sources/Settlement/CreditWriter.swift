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
    private let outbox: OutboxStore
    private let builder: ImageBuilder

    /// Creates a writer over both sides.
    package init(quota: QuotaStore, ledger: LedgerStore, builder: ImageBuilder) {
        self.quota = quota
        self.ledger = ledger
        outbox = OutboxStore(database: ledger.database)
        self.builder = builder
    }

    private struct Credit {
        let amount: Money
        let tenant: TenantID
        /// The day and month in which an image is rebuilt when none stands.
        let period: Period
    }

    /// Adds a credit, unless the ledger has it already, and tells the image.
    ///
    /// An image that cannot be told now is told by the credit's after-commit task.
    ///
    /// - Parameter period: The day and month in which an image is rebuilt when none stands.
    package func add(
        _ amount: Money, to tenant: TenantID, kind: String, externalID: String, period: Period
    ) throws(SettlementError) -> CreditOutcome {
        var machine = CreditMachine()
        return try drive(&machine, Credit(amount: amount, tenant: tenant, period: period)) {
            () throws(SettlementError) in
            try orUnavailable { () throws(PostgresError) in
                try ledger.addCredit(amount, to: tenant, kind: kind, externalID: externalID)
            }
        }
    }

    /// Tells the image of a credit that the ledger has, as its task asks for, and removes the task.
    ///
    /// - Throws: When the image does not have it now.
    package func apply(
        _ sequence: Int64, to tenant: TenantID, period: Period
    ) throws(SettlementError) {
        let credits = try orUnavailable { () throws(PostgresError) in
            try ledger.credits(of: tenant, after: sequence - 1)
        }
        guard let credit = credits.first, credit.sequence == sequence else {
            throw .unavailable("the ledger has no credit \(sequence) of \(tenant)")
        }
        var machine = CreditMachine(taskOf: sequence)
        _ = try drive(&machine, Credit(amount: credit.amount, tenant: tenant, period: period)) {
            preconditionFailure("the ledger has it")
        }
    }

    private func drive(
        _ machine: inout CreditMachine, _ credit: Credit,
        addToLedger: () throws(SettlementError) -> CreditOutcome
    ) throws(SettlementError) -> CreditOutcome {
        var event = CreditMachine.Event.begin
        while true {
            switch machine.next(after: event) {
            case .addToLedger: event = .added(try addToLedger())
            case .apply(let sequence):
                event = image { () throws(SettlementError) in
                    .applied(try apply(credit.amount, sequence, to: credit.tenant))
                }
            case .rebuild:
                event = image { () throws(SettlementError) in
                    try builder.warm(credit.tenant, in: credit.period, until: builder.waitDeadline)
                    return .rebuilt
                }
            case .catchUp(let known, let sequence):
                event = image { () throws(SettlementError) in
                    try catchUp(credit.tenant, after: known, before: sequence)
                    return .caughtUp
                }
            case .closeTask(let sequence):
                // What stays open is found done by whoever does it.
                try? outbox.remove(.credit(sequence, of: credit.tenant))
                event = .taskClosed
            case .finish(let outcome): return outcome
            case .fail(let error): throw error
            }
        }
    }

    private func image(
        _ effect: () throws(SettlementError) -> CreditMachine.Event
    ) -> CreditMachine.Event {
        do throws(SettlementError) { return try effect() } catch { return .imageFailed(error) }
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
