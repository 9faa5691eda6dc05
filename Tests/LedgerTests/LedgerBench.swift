import Core
import Postgres
import PrivateServers
import TestSupport
import Testing

@testable import Ledger

/// A ledger of a test's own, used as the application uses it, and beside it as the schema's owner.
struct LedgerBench: Sendable {
    /// The database.
    let database: SharedServers.Database
    /// Connections with the application's rights.
    let app: PostgresPool
    /// Connections with all rights, to look behind things.
    let owner: PostgresPool
    /// The connection of the writer.
    let writing: PostgresPool
    /// The ledger as the application.
    let ledger: LedgerStore
    /// A grouped writer as a process named `test`.
    let writer: LedgerWriter

    /// The name under which the writer's connections show in `pg_stat_activity`.
    static let writerName = "bench-writer"

    init() throws {
        database = try TestDatabase.make()
        let string = try TestDatabase.applicationString(database)
        app = PostgresPool(.patient(string, "bench-app"))
        owner = PostgresPool(.patient(database.connectionString, "bench-owner"))
        var configuration = PostgresConfiguration.patient(string, LedgerBench.writerName)
        configuration.sessionSettings = LedgerWriter.sessionSettings
        writing = PostgresPool(configuration)
        ledger = LedgerStore(database: app)
        writer = LedgerWriter(database: writing, owner: "test")
    }

    /// Another writer, as of another process.
    func makeWriter(owner: String, batchMax: Int = 512) -> LedgerWriter {
        LedgerWriter(database: writing, owner: owner, batchMax: batchMax)
    }

    /// Creates a tenant in epoch 0.
    func makeTenant(_ name: String = "acme") throws -> TenantID {
        let tenant = try #require(TenantID(name))
        try execute("INSERT INTO tenants (id) VALUES ('\(name)')")
        try execute("INSERT INTO tenant_epoch (tenant_id) VALUES ('\(name)')")
        return tenant
    }

    /// A row as the protocol makes it.
    func pending(
        _ tenant: TenantID, _ trace: TraceID = .fresh(), epoch: Int64 = 0, rseq: Int64 = 1,
        hold: Int64 = 1_000, key: String? = "key1", model: String = "m", day: Int32 = 20_250_614
    ) -> PendingRow {
        PendingRow(
            tenant: tenant, trace: trace, key: key.flatMap { APIKeyID($0) }, epoch: epoch, rseq: rseq,
            period: Period(day: day), hold: Money(nanodollars: hold), limitsVersion: 1,
            balanceBefore: Money(nanodollars: 5_000), balanceAfter: Money(nanodollars: 5_000 - hold),
            deadlineMilliseconds: 60_000, capability: "chat", model: model, isStream: false)
    }

    /// The end of a row.
    func committed(_ tenant: TenantID, _ trace: TraceID, charge: Int64) -> RowSettlement {
        var settlement = RowSettlement(tenant: tenant, trace: trace, status: .committed)
        settlement.charge = Money(nanodollars: charge)
        settlement.usageSource = .provider
        return settlement
    }

    /// Inserts a row that must be accepted, and returns its trace.
    @discardableResult
    func insert(
        _ tenant: TenantID, _ trace: TraceID = .fresh(), hold: Int64 = 1_000,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> TraceID {
        let outcome = writer.write(.pending(pending(tenant, trace, hold: hold)))
        #expect(outcome.isWritten, "\(outcome)", sourceLocation: sourceLocation)
        return trace
    }

    /// What stands under a trace.
    func row(_ tenant: TenantID, _ trace: TraceID) throws -> StandingRow? {
        try LedgerReader.rows(app, [(tenant, trace)])[trace]
    }

    /// Runs SQL with all rights.
    @discardableResult
    func execute(_ sql: String) throws -> Rows {
        try owner.lease().execute(sql: sql)
    }

    /// Runs SQL with the application's rights; nil when it is done, else the SQLSTATE of its refusal.
    func refusal(asApplication sql: String) throws -> String? {
        do throws(PostgresError) {
            try app.lease().execute(sql: sql)
            return nil
        } catch {
            return error.sqlState ?? "\(error)"
        }
    }

    /// Runs SQL with all rights; nil when it is done, else the SQLSTATE of its refusal.
    func refusal(asOwner sql: String) throws -> String? {
        do throws(PostgresError) {
            try owner.lease().execute(sql: sql)
            return nil
        } catch {
            return error.sqlState ?? "\(error)"
        }
    }
}

extension LedgerWriter.Outcome {
    var isWritten: Bool {
        if case .written = self { true } else { false }
    }

    var isFenced: Bool {
        if case .fenced = self { true } else { false }
    }

    var standing: StandingRow? {
        if case .standing(let row) = self { row } else { nil }
    }

    /// The SQLSTATE of a refusal.
    var refusal: String? {
        if case .failed(let error) = self { error.sqlState ?? "\(error)" } else { nil }
    }
}
