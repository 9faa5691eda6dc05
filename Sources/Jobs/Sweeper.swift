package import Core
package import Ledger
import Postgres
package import Quota
import Settlement
import Threads

/// Ends what dead processes left: pending rows in the ledger, and holds in Redis.
///
/// Only rows of owners that are dead are touched: their lease has run out, or they ran on this very machine and are gone. A row with a
/// stream's checkpoint is committed for what was delivered, any other is voided. A hold without a row gets a voided row first, so that
/// a late insert finds the trace taken.
package struct Sweeper: Sendable {
    /// What one sweep did.
    package struct Summary: Sendable, Equatable {
        /// Rows committed for what their stream had delivered.
        package var committed = 0
        /// Rows voided.
        package var voided = 0
        /// Holds in Redis settled after their row.
        package var holdsSettled = 0
        /// Holds without a row, released.
        package var holdsReleased = 0
        /// Pending rows of living owners, left alone.
        package var alive = 0
        /// What could not be ended now.
        package var failed = 0
    }

    private static let name = "sweep"
    private let ledger: LedgerStore
    private let writer: LedgerWriter
    private let quota: QuotaStore
    private let holdGraceMilliseconds: Int64
    private let pageMax: Int

    /// Creates a sweeper.
    ///
    /// - Parameters:
    ///   - holdGraceSeconds: How old a hold without a row must be; longer than any reservation takes.
    ///   - pageMax: How many pending rows are read at a time.
    package init(
        ledger: LedgerStore, writer: LedgerWriter, quota: QuotaStore, holdGraceSeconds: Int,
        pageMax: Int = 10_000
    ) {
        self.ledger = ledger
        self.writer = writer
        self.quota = quota
        holdGraceMilliseconds = Int64(holdGraceSeconds) * 1_000
        self.pageMax = pageMax
    }

    /// Sweeps once.
    ///
    /// The caller holds the job's lock: two sweepers would only do the same work twice.
    ///
    /// - Parameters:
    ///   - tenant: Whose rows and holds; nil for everybody's.
    ///   - isDryRun: Only looks: what would be done is counted.
    ///   - withHolds: Whether Redis is in use; holds of images that are not are nobody's.
    package func run(
        only tenant: TenantID? = nil, isDryRun: Bool = false, withHolds: Bool = true
    ) throws(JobError) -> Summary {
        var summary = Summary()
        try sweepRows(tenant, isDryRun, &summary)
        if withHolds { try sweepHolds(tenant, isDryRun, &summary) }
        return summary
    }

    private func sweepRows(
        _ tenant: TenantID?, _ isDryRun: Bool, _ summary: inout Summary
    ) throws(JobError) {
        // Ids carry their host's clock: one that is behind by less than this is still seen.
        let slackMilliseconds: Int64 = 86_400_000
        // Read before the rows: whatever becomes pending later is younger.
        let now = WallClock.unixMilliseconds
        let start = try JobError.database { () throws(PostgresError) in try ledger.watermark(of: Sweeper.name)
        }
        var oldestLeft = TraceID(lowestAtUnixMilliseconds: now - slackMilliseconds)
        var since = start ?? TraceID(lowestAtUnixMilliseconds: 0)
        var page: [OrphanedRow]
        repeat {
            page = try JobError.database { () throws(PostgresError) in
                try ledger.pendingRows(since: since, countMax: pageMax)
            }
            for row in page where tenant == nil || row.tenant == tenant {
                if !end(row, isDryRun, &summary) { oldestLeft = min(oldestLeft, row.trace) }
            }
            since = page.last?.trace.successor ?? since
        } while page.count == pageMax
        guard tenant == nil, !isDryRun else { return }
        try JobError.database { () throws(PostgresError) in
            try ledger.setWatermark(of: Sweeper.name, to: oldestLeft)
        }
    }

    /// Ends a row that nobody else will; whether it is not pending any more.
    private func end(_ row: OrphanedRow, _ isDryRun: Bool, _ summary: inout Summary) -> Bool {
        var settlement = RowSettlement(tenant: row.tenant, trace: row.trace, status: .voided)
        settlement.isError = true
        settlement.errorCode = "OWNER_DIED"
        switch RowSweep(isOwnerDead: row.isOwnerDead, hasCheckpoint: row.checkpoint != nil) {
        case .leave:
            summary.alive += 1
            return false
        case .void: break
        case .commit:
            guard let checkpoint = row.checkpoint else { preconditionFailure("a charge needs a checkpoint") }
            let cost = checkpoint.price.cost(of: checkpoint.usage) ?? .limit
            settlement.status = .committed
            settlement.charge = min(cost, row.hold)
            settlement.overrun = cost - settlement.charge
            settlement.priceVersion = checkpoint.price.version
            settlement.usage = checkpoint.usage
            settlement.usageSource = checkpoint.source
            settlement.providerModelID = checkpoint.providerModelID
            settlement.interruptedBy = "crash"
            settlement.hasCheckpoint = true
        }
        switch isDryRun ? .written : writer.write(.settlement(settlement)) {
        case .written:
            if settlement.status == .committed { summary.committed += 1 } else { summary.voided += 1 }
            return true
        case .standing, .fenced, .keyTaken: return true
        case .failed, .unknown:
            summary.failed += 1
            return false
        }
    }

    private func sweepHolds(
        _ tenant: TenantID?, _ isDryRun: Bool, _ summary: inout Summary
    ) throws(JobError) {
        var tenants: Set<TenantID> = tenant.map { [$0] } ?? []
        if tenant == nil {
            tenants = try JobError.redis { () throws(QuotaError) in try quota.tenantsWithHolds() }
        }
        for tenant in tenants.sorted(by: { $0.description < $1.description }) {
            // Holds first, rows after: a row that is not there then was not there when its hold was.
            let holds = try JobError.redis { () throws(QuotaError) in try quota.holds(of: tenant) }
            let rows = try JobError.database { () throws(PostgresError) in
                try LedgerReader.rows(ledger.database, holds.map { (tenant, $0.trace) })
            }
            for hold in holds {
                try sweep(hold, of: tenant, row: rows[hold.trace], isDryRun, &summary)
            }
        }
    }

    private func sweep(
        _ hold: StoredHold, of tenant: TenantID, row: StandingRow?, _ isDryRun: Bool,
        _ summary: inout Summary
    ) throws(JobError) {
        let age = WallClock.unixMilliseconds - hold.trace.unixMilliseconds
        let decision = HoldSweep(
            row: row, epoch: hold.epoch, rseq: hold.rseq, ageMilliseconds: age,
            graceMilliseconds: holdGraceMilliseconds)
        switch decision {
        case .leave: return
        case .settle(let end):
            summary.holdsSettled += 1
            if !isDryRun { try settle(hold, of: tenant, as: end) }
        case .bury where isDryRun: summary.holdsReleased += 1
        case .bury:
            try JobError.database { () throws(PostgresError) in
                try ledger.insertTombstone(
                    tenant: tenant, trace: hold.trace, key: hold.key.isEmpty ? nil : hold.key,
                    epoch: hold.epoch,
                    rseq: hold.rseq, period: hold.period, hold: hold.amount)
            }
            // A row may have come first after all; then it is what the hold follows. None at all can come where time is closed.
            let standing = try JobError.database { () throws(PostgresError) in
                try LedgerReader.rows(ledger.database, [(tenant, hold.trace)])[hold.trace]
            }
            guard case .settle(let end) = HoldSweep(buried: standing) else { return }
            summary.holdsReleased += 1
            try settle(hold, of: tenant, as: end)
        }
    }

    private func settle(_ hold: StoredHold, of tenant: TenantID, as end: RowEnd) throws(JobError) {
        _ = try JobError.redis { () throws(QuotaError) in
            try quota.settle(
                HoldSettlement(
                    tenant: tenant, trace: hold.trace, epoch: hold.epoch, rseq: hold.rseq, charge: end.charge,
                    isVoided: end.status == .voided))
        }
    }
}

extension OrphanedRow {
    /// Whether nobody can be settling the row any more.
    fileprivate var isOwnerDead: Bool {
        LocalProcess.isDead(process, isLeased: isLeased)
    }
}
