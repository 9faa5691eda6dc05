import Core
import Postgres
import PrivateServers
import TestSupport
import Testing

@testable import Ledger

/// A ledger in a PostgreSQL that the test may stop.
struct PrivateLedger: Sendable {
    let server: PrivatePostgres
    let tenant: TenantID
    let writer: LedgerWriter

    init(_ server: PrivatePostgres) throws {
        self.server = server
        let strings = try TestDatabase.makeLedger(in: server)
        tenant = try #require(TenantID("acme"))
        _ = try server.run(
            sql: "INSERT INTO tenants (id) VALUES ('acme'); INSERT INTO tenant_epoch VALUES ('acme', 0)",
            database: "ledger")
        var writing = PostgresConfiguration(connectionString: strings.application)
        writing.sessionSettings = LedgerWriter.sessionSettings
        writing.statementTimeoutMilliseconds = 60_000
        writer = LedgerWriter(database: PostgresPool(writing), owner: "test")
    }

    /// A row that can be inserted.
    func row(_ trace: TraceID = .fresh()) -> PendingRow {
        PendingRow(
            tenant: tenant, trace: trace, key: nil, epoch: 0, rseq: 1, period: Period(day: 20_250_614),
            hold: Money(nanodollars: 10), limitsVersion: 1, balanceBefore: .zero, balanceAfter: .zero,
            deadlineMilliseconds: 1_000, capability: "chat", model: "m", isStream: false)
    }
}
