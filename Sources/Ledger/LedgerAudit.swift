package import Core
package import Postgres

/// What a tenant's image in Redis has seen, for the ledger to say what it should show.
package struct SeenImage: Sendable {
    /// Whose image.
    package let tenant: TenantID
    /// Its epoch.
    package let epoch: Int64
    /// The number of the last hold taken in it.
    package let lastHold: Int64
    /// The last credit it counts.
    package let lastCredit: Int64
    /// The day and month of its counters.
    package let period: Period
    /// The holds in it: trace, epoch and number.
    package let holds: [(trace: TraceID, epoch: Int64, rseq: Int64)]

    /// Creates what an image has seen.
    package init(
        tenant: TenantID, epoch: Int64, lastHold: Int64, lastCredit: Int64, period: Period,
        holds: [(trace: TraceID, epoch: Int64, rseq: Int64)]
    ) {
        self.tenant = tenant
        self.epoch = epoch
        self.lastHold = lastHold
        self.lastCredit = lastCredit
        self.period = period
        self.holds = holds
    }
}

/// What the ledger says of all that an image has seen and does not hold any more.
package struct AuditedSums: Sendable, Hashable {
    /// The tenant's epoch in the ledger.
    package let epoch: Int64
    /// The credits that the image counts.
    package let credited: Money
    /// The charges of rows whose hold the image has seen and given back.
    package let charged: Money
    /// The same rows of the image's day that count.
    package let dailyUsed: Int64
    /// The same rows of the image's month that count.
    package let monthlyUsed: Int64
    /// Pending rows among them: their money was given back although nobody has ended them.
    package let unheld: Int64
}

/// A committed row whose charge is not what its usage costs.
package struct WrongCharge: Sendable, Hashable {
    /// Who was billed.
    package let tenant: TenantID
    /// Which request.
    package let trace: TraceID
    /// What was charged.
    package let charge: Money
    /// What it should be; nil when the row names no price.
    package let expected: Money?
}

/// Reads for checking the books, in large steps.
///
/// Everything is read by index, whatever the planner knew of the tables when a statement was prepared.
package struct LedgerAudit: Sendable {
    /// Session settings for the connections of an audit: sums of tenants are looked up one by one, never by reading everything.
    package static let sessionSettings = [
        "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off",
        "jit": "off",
    ]

    let lookups: PostgresPool
    let scans: PostgresPool

    /// Creates an audit.
    ///
    /// - Parameters:
    ///   - lookups: Connections with ``sessionSettings``.
    ///   - scans: Connections with time for long statements.
    package init(lookups: PostgresPool, scans: PostgresPool) {
        self.lookups = lookups
        self.scans = scans
    }

    /// The names of tenants after one, in their order.
    package func tenants(after name: String, countMax: Int) throws(PostgresError) -> [TenantID] {
        let rows = try lookups.query(
            LedgerStatements.listTenantNames, [.text(name), .int(Int64(countMax))])
        return (0..<rows.count).compactMap { TenantID(rows.text($0, 0)) }
    }

    /// The sums that images should show; nil when rows have been rolled up since the watermark was read, which must have been before
    /// the images were.
    package func sums(
        of images: [SeenImage], rolledUpTo watermark: TraceID
    ) throws(PostgresError) -> [TenantID: AuditedSums]? {
        guard !images.isEmpty else { return [:] }
        let holds = images.flatMap { image in image.holds.map { (image: image, hold: $0) } }
        let rows = try lookups.query(
            LedgerStatements.auditImages,
            [
                .textArray(images.map(\.tenant.description)), .intArray(images.map(\.epoch)),
                .intArray(images.map(\.lastHold)), .intArray(images.map(\.lastCredit)),
                .intArray(images.map { Int64($0.period.day) }),
                .intArray(images.map { Int64($0.period.month) }),
                .textArray(holds.map(\.image.tenant.description)), .uuidArray(holds.map(\.hold.trace.bits)),
                .intArray(holds.map(\.hold.epoch)), .intArray(holds.map(\.hold.rseq)),
                .intArray(holds.map { Int64($0.image.period.day) }),
                .intArray(holds.map { Int64($0.image.period.month) }),
            ])
        var found: [TenantID: AuditedSums] = [:]
        for row in 0..<rows.count {
            guard TraceID(rows.text(row, 1)) == watermark else { return nil }
            guard let tenant = TenantID(rows.text(row, 0)) else { continue }
            found[tenant] = AuditedSums(
                epoch: rows.int(row, 2), credited: Money(nanodollars: rows.int(row, 3)),
                charged: Money(nanodollars: rows.int(row, 4)), dailyUsed: rows.int(row, 5),
                monthlyUsed: rows.int(row, 6), unheld: rows.int(row, 7))
        }
        return found
    }

    /// What keeps ended rows as they are and is missing: a partition and the trigger it lacks.
    package func missingGuards() throws(PostgresError) -> [String] {
        let rows = try scans.query(LedgerStatements.auditGuards, [])
        return (0..<rows.count).map { "\(rows.text($0, 0)) lacks \(rows.text($0, 1))" }
    }

    /// Computes the charges of committed rows again: how many were looked at, and those that are wrong, a hundred at most.
    package func wrongCharges(
        since trace: TraceID, countMax: Int
    ) throws(PostgresError) -> (count: Int64, wrong: [WrongCharge]) {
        let rows = try scans.query(
            LedgerStatements.auditCharges, [.text(trace.description), .int(Int64(countMax))])
        let wrong = (0..<rows.count).compactMap { row -> WrongCharge? in
            guard let name = rows.optionalText(row, 1), let tenant = TenantID(name),
                let trace = TraceID(rows.text(row, 2))
            else { return nil }
            return WrongCharge(
                tenant: tenant, trace: trace, charge: Money(nanodollars: rows.int(row, 3)),
                expected: rows.optionalInt(row, 4).map { Money(nanodollars: $0) })
        }
        return (rows.int(0, 0), wrong)
    }

    /// Sums up the rows of some hours again that were rolled up, the newest and others at random: how many rows were looked at, and the
    /// hours (Unix seconds) whose rows are not those that were rolled up.
    package func changedHours(
        below watermark: TraceID, othersMax: Int
    ) throws(PostgresError) -> (rows: Int64, hours: [Int64]) {
        let hour: Int64 = 3_600
        let oldest = try scans.query(LedgerStatements.readOldestHour, [])
        let newest = watermark.unixMilliseconds / 1_000 / hour * hour - hour
        guard oldest.count == 1, oldest.int(0, 0) <= newest else { return (0, []) }
        let first = oldest.int(0, 0) / hour
        var sample: Set = [newest]
        for _ in 0..<othersMax { sample.insert(Int64.random(in: first...newest / hour) * hour) }
        var looked: Int64 = 0
        var changed: [Int64] = []
        for hour in sample.sorted() {
            let result = try scans.query(LedgerStatements.auditHours, [.int(hour)])
            guard result.count == 1 else { continue }
            looked += result.int(0, 1)
            if !result.bool(0, 0) { changed.append(hour) }
        }
        return (looked, changed)
    }

    /// Whether the charges of all keys are those of all hours, and the difference.
    package func houseDifference() throws(PostgresError) -> (isExact: Bool, difference: Money) {
        let rows = try scans.query(LedgerStatements.auditRollups, [])
        return (rows.bool(0, 0), Money(nanodollars: rows.int(0, 1)))
    }
}
