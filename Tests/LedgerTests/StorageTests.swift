import Core
import Foundation
import Postgres
import TestSupport
import TestTools
import Testing

@testable import Ledger

@Suite struct StorageTests {
    @Test func `a settlement rewrites its row in place, without touching an index`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        try Concurrently.run(32) { _ in
            for _ in 0..<60 {
                let trace = try bench.insert(tenant)
                _ = bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 7)))
            }
        }
        #expect(try LedgerReader.totals(bench.app, of: tenant).committed == 32 * 60)
        // A backend reports its statistics when it ends.
        bench.writing.closeIdle()
        let counts = Statement(
            name: "updates",
            sql: """
                SELECT coalesce(sum(n_tup_upd), 0)::bigint, coalesce(sum(n_tup_hot_upd), 0)::bigint
                  FROM pg_stat_user_tables WHERE relname LIKE 'billing_transactions_%'
                """)
        let isReported = try Eventually.holds { try bench.owner.query(counts).int(0, 0) >= 32 * 60 }
        #expect(isReported)
        let rows = try bench.owner.query(counts)
        #expect(
            rows.int(0, 1) * 100 >= rows.int(0, 0) * 90,
            "\(rows.int(0, 1)) of \(rows.int(0, 0)) updates were HOT")
    }

    @Test func `no index mentions a column that a settlement sets`() throws {
        let bench = try LedgerBench()
        let rows = try bench.execute(
            """
            SELECT DISTINCT a.attname
              FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid IN (SELECT relid FROM pg_partition_tree('billing_transactions'))
             ORDER BY 1
            """)
        #expect((0..<rows.count).map { rows.text($0, 0) } == ["tenant_id", "trace_id"])
        let partial = try bench.execute(
            """
            SELECT count(*) FROM pg_index
             WHERE indpred IS NOT NULL
               AND indrelid IN (SELECT relid FROM pg_partition_tree('billing_transactions'))
            """)
        #expect(partial.int(0, 0) == 0)
    }

    @Test func `in a large table every statement of the writer finds its rows by index`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        // Planned while the table is empty, as at the first start of an installation.
        let early = try bench.insert(tenant)
        _ = bench.writer.write(.settlement(bench.committed(tenant, early, charge: 1)))
        _ = bench.writer.write(.settlement(bench.committed(tenant, .fresh(), charge: 1)))
        try fill(bench, rows: 200_000)
        let before = try scans(bench)
        try Concurrently.run(50) { _ in
            for _ in 0..<4 {
                let trace = try bench.insert(tenant)
                #expect(bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 1))).isWritten)
                #expect(
                    bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 2))).standing != nil
                )
            }
        }
        bench.writing.closeIdle()
        let isReported = try Eventually.holds { try scans(bench).updated >= before.updated + 200 }
        #expect(isReported)
        let after = try scans(bench)
        #expect(after.sequential == before.sequential, "a partition was scanned")
        #expect(
            after.rowsRead - before.rowsRead < 5_000, "\(after.rowsRead - before.rowsRead) rows read for 600")
    }

    @Test func `the sweeper's search reads the recent rows of a large table only`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        try fill(bench, rows: 200_000)
        try bench.execute(
            "SELECT brin_summarize_new_values(indexrelid) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'billing_transactions_%_trace_id_idx'"
        )
        try bench.execute("ANALYZE billing_transactions")
        // What this connection has read until now counts as before.
        try bench.execute("SELECT pg_stat_force_next_flush()")
        let trace = try bench.insert(tenant)
        let before = try scans(bench)
        let since = TraceID.made(millisecondsAgo: 60_000)
        #expect(try bench.ledger.pendingRows(since: since, countMax: 100).map(\.trace) == [trace])
        bench.app.closeIdle()
        let isReported = try Eventually.holds { try scans(bench).indexScans > before.indexScans }
        #expect(isReported)
        let after = try scans(bench)
        #expect(
            after.rowsRead - before.rowsRead < 20_000, "\(after.rowsRead - before.rowsRead) rows read for one"
        )
    }

    @Test func `there are partitions from last month until three months ahead`() throws {
        let bench = try LedgerBench()
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let expected = try (-1...3).map { ahead in
            let date = try #require(calendar.date(byAdding: .month, value: ahead, to: Date()))
            let parts = calendar.dateComponents([.year, .month], from: date)
            let (year, month) = (try #require(parts.year), try #require(parts.month))
            return "billing_transactions_\(year)_\(month < 10 ? "0" : "")\(month)"
        }
        #expect(try partitions(bench) == expected)
        try bench.ledger.makePartitions()
        #expect(try partitions(bench) == expected, "making them again makes none")
    }

    @Test func `a request at the first and last millisecond of a month is stored in that month`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let month = try #require(calendar.dateInterval(of: .month, for: Date()))
        let first = Int64(month.start.timeIntervalSince1970) * 1_000
        let last = Int64(month.end.timeIntervalSince1970) * 1_000 - 1
        for (time, random) in [(first, UInt64.min), (last, UInt64.max)] {
            try bench.insert(tenant, TraceID(unixMilliseconds: time, random: (random, random)))
        }
        let rows = try bench.execute("SELECT DISTINCT tableoid::regclass::text FROM billing_transactions")
        let parts = calendar.dateComponents([.year, .month], from: month.start)
        let number = try #require(parts.month)
        #expect(rows.count == 1)
        #expect(
            rows.text(0, 0)
                == "billing_transactions_\(try #require(parts.year))_\(number < 10 ? "0" : "")\(number)")
    }

    // MARK: -

    private func partitions(_ bench: LedgerBench) throws -> [String] {
        let rows = try bench.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'billing_transactions'::regclass ORDER BY 1"
        )
        return (0..<rows.count).map { rows.text($0, 0) }
    }

    /// Puts ended rows of a thousand tenants into the table, as the last hours would have.
    private func fill(_ bench: LedgerBench, rows: Int) throws {
        try bench.execute(
            """
            INSERT INTO billing_transactions (tenant_id, trace_id, epoch, rseq, day, month, hold, limits_version,
                balance_before, balance_after, owner, deadline, capability, model, is_stream, status, charge, settled_at)
            SELECT 'tenant-' || n % 1000,
                   overlay(trace_id_floor(now() - interval '2 minutes' - (\(rows) - n) * interval '1 millisecond')::text
                           placing lpad(to_hex(n), 12, '0') from 25)::uuid,
                   0, n, 20250614, 202506, 1000, 1, 0, 0, 'x', now(), 'chat', 'm', false, 'committed', 5, now()
              FROM generate_series(1, \(rows)) AS n
            """)
    }

    private struct Scans {
        let sequential: Int64
        let rowsRead: Int64
        let indexScans: Int64
        let updated: Int64
    }

    private func scans(_ bench: LedgerBench) throws -> Scans {
        let rows = try bench.execute(
            """
            SELECT sum(seq_scan)::bigint, (sum(seq_tup_read) + sum(idx_tup_fetch))::bigint, sum(idx_scan)::bigint,
                   sum(n_tup_upd)::bigint
              FROM pg_stat_user_tables WHERE relname LIKE 'billing_transactions_%'
            """)
        return Scans(
            sequential: rows.int(0, 0), rowsRead: rows.int(0, 1), indexScans: rows.int(0, 2),
            updated: rows.int(0, 3))
    }
}
