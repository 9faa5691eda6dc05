package import Core
import Postgres

extension LedgerReserver {
    /// What came of raising a hold.
    package enum Raised: Sendable {
        /// The row holds this much, which is durable.
        case raised(Money)
        /// Nothing more can be taken.
        case refused
        /// The row has ended, or there is none.
        case ended
        /// Reservations are made in Redis; nothing was done.
        case modeLeft
        /// Nothing was done, or perhaps it was: the hold is worth what it was, and the amount may be asked for again.
        case failed
    }

    /// Raises the hold of a pending row under the same lock as reservations, and by the same sums.
    ///
    /// - Parameter decide: Says to which amount in all; nil for not at all.
    package func raise(
        _ trace: TraceID, of tenant: TenantID, in period: Period,
        deciding decide: (ReservationBasis) -> Money?
    ) -> Raised {
        do throws(PostgresError) {
            let transaction = try database.begin()
            guard try lock([tenant], transaction) else { return .modeLeft }
            guard let basis = try basis(of: tenant, in: period, transaction),
                basis.snapshot.holds.contains(where: { $0.trace == trace.description })
            else { return .ended }
            guard let amount = decide(basis) else { return .refused }
            let row = try transaction.query(
                LedgerStatements.raiseReserved,
                [.text(tenant.description), .text(trace.description), .int(amount.nanodollars)])
            guard row.affectedRows == 1 else { return .ended }
            try transaction.commit()
            return .raised(amount)
        } catch {
            return .failed
        }
    }
}
