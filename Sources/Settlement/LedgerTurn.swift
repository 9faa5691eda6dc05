import Core
import Ledger
import Postgres
import Quota

/// What became of taking one hold in the ledger itself.
enum TakenInLedger: Sendable {
    /// Its row is durable.
    case held(HeldAmount)
    case refused(QuotaRefusal)
    /// Something else stands under the trace.
    case conflict
    /// The idempotency key stands for another request.
    case keyTaken
    case unknownTenant
    /// Reservations are made in Redis.
    case closed
    /// Nothing was done, for sure.
    case failed(PostgresError)
    /// Perhaps its row stands.
    case unknown(HeldAmount, PostgresError)
}

extension TakenInLedger {
    /// What became of a row that was not inserted.
    fileprivate init(_ outcome: LedgerWriter.Outcome) {
        switch outcome {
        case .keyTaken: self = .keyTaken
        // The key was another's, and is free again.
        case .fenced: self = .closed
        case .written, .standing, .failed, .unknown: self = .conflict
        }
    }
}

/// Reservations in the ledger, as a turn of the lane makes them: all that wait in one database transaction.
struct LedgerTurn {
    let reserver: LedgerReserver

    /// Takes what the ledger's sums admit, in the order of the orders, and answers each.
    ///
    /// A batch that is refused as a whole is halved, so that one bad row fails alone.
    func take(_ orders: [ReserveOrder]) -> [TakenInLedger] {
        guard !orders.isEmpty else { return [] }
        var taken: [TakenInLedger] = []
        let outcome = reserver.reserve(for: Self.tenants(of: orders)) { bases in
            let (decided, rows) = Self.decide(orders, bases)
            taken = decided
            return rows
        }
        switch outcome {
        case .reserved(let others):
            guard !others.isEmpty else { return taken }
            return zip(orders, taken).map { others[$0.trace].map { TakenInLedger($0) } ?? $1 }
        case .modeLeft: return orders.map { _ in .closed }
        case .failed(.server) where orders.count > 1:
            let middle = orders.count / 2
            return take(Array(orders[..<middle])) + take(Array(orders[middle...]))
        case .failed(let error): return orders.map { _ in .failed(error) }
        case .unknown(let error):
            return taken.map { if case .held(let held) = $0 { .unknown(held, error) } else { $0 } }
        }
    }

    /// The tenants, each with the latest day of its orders.
    private static func tenants(of orders: [ReserveOrder]) -> [(tenant: TenantID, period: Period)] {
        var latest: [TenantID: Period] = [:]
        for order in orders {
            if let known = latest[order.tenant], known.day >= order.period.day { continue }
            latest[order.tenant] = order.period
        }
        return latest.map { (tenant: $0.key, period: $0.value) }
    }

    /// Judges each order by what the orders before it have left.
    private static func decide(
        _ orders: [ReserveOrder], _ bases: [TenantID: ReservationBasis]
    ) -> ([TakenInLedger], [LedgerReservation]) {
        var images = bases.mapValues { basis in
            DetachedImage(
                ImageContents(basis.snapshot, basis.snapshot.standing.epoch), minute: basis.minute)
        }
        var rows: [LedgerReservation] = []
        let taken = orders.map { order -> TakenInLedger in
            switch images[order.tenant]?.take(HoldOrder(order)) {
            case .held(let held):
                rows.append(LedgerReservation(row: PendingRow(order, held), tokens: order.tokens))
                return .held(held)
            case .refused(let refusal): return .refused(refusal)
            case nil: return .unknownTenant
            case .missing, .stale, .late, .conflict:
                preconditionFailure("an image of sums only takes or refuses")
            }
        }
        return (taken, rows)
    }
}
