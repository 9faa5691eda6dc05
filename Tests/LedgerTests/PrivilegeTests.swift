import Core
import Postgres
import TestSupport
import Testing

@testable import Ledger

@Suite struct PrivilegeTests {
    private static let refused = "42501"
    private static let restricted = "23001"

    /// A ledger with one committed row, one voided row and one credit, which no test can change.
    private static let filled = Result { try filledBench() }

    private static func filledBench() throws -> LedgerBench {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        _ = try bench.ledger.addCredit(Money(nanodollars: 5_000), to: tenant, kind: "t", externalID: "1")
        let first = try bench.insert(tenant)
        let second = try bench.insert(tenant)
        #expect(bench.writer.write(.settlement(bench.committed(tenant, first, charge: 1))).isWritten)
        #expect(
            bench.writer.write(.settlement(RowSettlement(tenant: tenant, trace: second, status: .voided)))
                .isWritten)
        try bench.execute(
            """
            INSERT INTO prices (model, input, cached_input, cache_write, cache_write_hour, output, reasoning,
                audio_input, audio_output) VALUES ('m', 1, 1, 1, 1, 1, 1, 1, 1)
            """)
        return bench
    }

    @Test(arguments: [
        "charge = 0", "charge = 2", "status = 'pending', settled_at = NULL", "status = 'voided', charge = 0",
        "hold = 5000", "latency_ms = 1", "charge = charge",
    ])
    func `no column of an ended row changes, for the application or its owner`(change: String) throws {
        let bench = try Self.filled.get()
        let sql = "UPDATE billing_transactions SET \(change) WHERE status <> 'pending'"
        #expect(try bench.refusal(asApplication: sql) == Self.restricted)
        #expect(try bench.refusal(asOwner: sql) == Self.restricted)
    }

    @Test func `rows of the ledger cannot be removed by anybody`() throws {
        let bench = try Self.filled.get()
        let partition = try bench.execute(
            "SELECT tableoid::regclass::text FROM billing_transactions LIMIT 1"
        ).text(0, 0)
        for sql in [
            "DELETE FROM billing_transactions", "TRUNCATE billing_transactions", "DELETE FROM \(partition)",
            "TRUNCATE \(partition)", "DELETE FROM credits", "TRUNCATE credits",
            "UPDATE credits SET amount = amount + 1",
        ] {
            #expect(try bench.refusal(asApplication: sql) == Self.refused, "\(sql)")
            #expect(try bench.refusal(asOwner: sql) == Self.restricted, "\(sql)")
        }
        for sql in ["UPDATE prices SET input = 2", "DELETE FROM prices"] {
            #expect(try bench.refusal(asApplication: sql) == Self.refused, "\(sql)")
            #expect(try bench.refusal(asOwner: sql) == Self.restricted, "\(sql)")
        }
    }

    @Test(arguments: [
        "tenant_id = 'x'", "trace_id = gen_random_uuid()", "api_key_id = 'x'", "epoch = 9", "rseq = 9",
        "day = 20250101", "month = 202501", "owner = 'x'", "created_at = now()", "balance_before = 0",
        "model = 'x'", "is_stream = true",
    ])
    func `the application cannot change what a reservation wrote, even while it is pending`(change: String)
        throws
    {
        let bench = try Self.filled.get()
        let sql = "UPDATE billing_transactions SET \(change) WHERE status = 'pending'"
        #expect(try bench.refusal(asApplication: sql) == Self.refused)
    }

    @Test(arguments: [
        "ALTER TABLE credits ADD COLUMN x int", "ALTER TABLE billing_transactions DISABLE TRIGGER ALL",
        "ALTER TABLE billing_transactions DROP CONSTRAINT billing_transactions_pkey",
        "ALTER TABLE prices ADD COLUMN x int", "DROP TABLE credits", "DROP TABLE prices",
        "DROP TABLE billing_transactions", "DROP TRIGGER terminal_rows_stay ON billing_transactions",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TABLE mine (x int)", "SET session_replication_role = replica", "TRUNCATE prices",
        "TRUNCATE tenants CASCADE", "DELETE FROM tenants", "DELETE FROM tenant_epoch", "DELETE FROM api_keys",
        "DELETE FROM house_entries", "UPDATE house_entries SET amount = 0",
        "UPDATE api_keys SET tenant_id = 'x'", "UPDATE api_keys SET secret_hash = ''",
        "DELETE FROM redis_incarnations", "INSERT INTO schema_migrations VALUES (99, 'x')",
        "CREATE ROLE mine",
    ])
    func `the application cannot do what only its owner may`(sql: String) throws {
        let bench = try Self.filled.get()
        #expect(try bench.refusal(asApplication: sql) == Self.refused)
    }

    @Test(arguments: [0, -1, 9_000_000_000_000_001])
    func `a credit is more than nothing and at most what a balance can hold`(amount: Int64) throws {
        let bench = try Self.filled.get()
        let sql = "INSERT INTO credits VALUES ('acme', 9, \(amount), 'k', 'x', now())"
        #expect(try bench.refusal(asApplication: sql) == "23514")
    }

    @Test func `the application makes partitions without any right to make tables`() throws {
        let bench = try LedgerBench()
        try bench.ledger.makePartitions()
        #expect(try bench.refusal(asApplication: "SELECT make_billing_partitions(5)") == nil)
    }
}
