import Core
import Ledger
import Postgres
import Quota
import Settlement

/// What is behind a difference between the two sides of a tenant's books, in lines for people.
///
/// First what is certainly not as it should be or only on its way; then what is as large as the difference.
struct Explanation {
    private(set) var lines: [String] = []

    /// Looks for what could be behind a tenant's difference.
    init(_ tenant: ReconciledTenant, ledger: LedgerStore) throws(PostgresError) {
        let (id, image) = (tenant.tenant, tenant.image)
        let names = image.holds.map { (id, $0.trace) }
        let rows = try LedgerReader.rows(ledger.database, names)
        for hold in image.holds {
            guard let line = Self.line(hold, rows[hold.trace]) else { continue }
            lines.append(line)
        }
        let held = Set(image.holds.map(\.trace))
        for row in try LedgerReader.pendingRows(ledger.database, of: id) where !held.contains(row.trace) {
            let isLater = row.epoch > image.epoch || (row.epoch == image.epoch && row.rseq > image.version)
            guard !isLater else { continue }
            lines.append("transaction \(row.trace) is pending with $\(row.hold), and Redis does not hold it")
        }
        let credits = try LedgerReader.credits(
            ledger.database, of: id, after: image.creditSequence, orAsLargeAs: tenant.drift)
        for credit in credits where credit.isMissing {
            lines.append(
                "credit \(credit.sequence) of $\(credit.amount) (\(credit.externalID)) is on its way to Redis"
            )
        }
        if image.epoch != tenant.sums.epoch {
            lines.append(
                "Redis' image is of epoch \(image.epoch), the ledger is at \(tenant.sums.epoch): it is being rebuilt"
            )
        }
        for sum in try LedgerReader.changedRollups(ledger.database, of: id) {
            lines.append(
                "\(sum.day), key '\(sum.key)': \(sum.rolledUpCount) charges of $\(sum.rolledUp) were rolled up, "
                    + "but the rows are \(sum.rowCount) of $\(sum.rows)")
        }
        guard tenant.drift != .zero else { return }
        try addCandidates(tenant, credits, ledger)
    }

    /// A hold in Redis that is not simply that of a pending row.
    private static func line(_ hold: StoredHold, _ row: StandingRow?) -> String? {
        guard let row else {
            return "hold \(hold.trace) of $\(hold.amount) has no transaction: about to begin, or the sweep's"
        }
        guard row.epoch == hold.epoch, row.rseq == hold.rseq else {
            return
                "hold \(hold.trace) of $\(hold.amount) is not that of the transaction, which is \(row.status)"
        }
        guard row.status == .pending else {
            return
                "hold \(hold.trace) of $\(hold.amount) is to be settled: \(row.status), charge $\(row.charge)"
        }
        guard row.hold == hold.amount else {
            return "hold \(hold.trace) is $\(hold.amount) in Redis and $\(row.hold) in the ledger"
        }
        return nil
    }

    private mutating func addCandidates(
        _ tenant: ReconciledTenant, _ credits: [ExplainedCredit], _ ledger: LedgerStore
    ) throws(PostgresError) {
        let size = Money(nanodollars: abs(tenant.drift.nanodollars))
        for row in try LedgerReader.rows(ledger.database, of: tenant.tenant, asLargeAs: tenant.drift) {
            var parts: [String] = []
            if row.hold == size { parts.append("hold") }
            if row.charge == size { parts.append("charge") }
            if row.hold - row.charge == size, row.charge > .zero { parts.append("hold less charge") }
            lines.append(
                "as large: the \(parts.joined(separator: " and the ")) of transaction \(row.trace), \(row.status), "
                    + "hold $\(row.hold), charge $\(row.charge)")
        }
        for credit in credits where !credit.isMissing {
            lines.append(
                "as large: credit \(credit.sequence) of $\(credit.amount) (\(credit.externalID), \(credit.kind))"
            )
        }
        if lines.isEmpty {
            lines.append(
                "no single row is as large: Redis was changed by hand, or several rows are behind it")
        }
    }
}
