import Core
import Glibc
import Ledger
import Postgres
import PrivateServers
import Quota
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@testable import Jobs

@Suite struct SweeperTests {
    // MARK: - Whose rows are swept

    @Test func `rows of a process that gave its lease up are ended at once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.reserve(tenant, 300)
        let summary = try bench.sweep()
        #expect(summary == Sweeper.Summary(voided: 1, holdsSettled: 1))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
    }

    @Test func `a dry run counts and ends nothing, and a sweep of one tenant ends no other's rows`() throws {
        let bench = try SettlementBench()
        let tenants = try ["a", "b"].map { try bench.makeTenant($0, balance: 1_000) }
        let holds = try tenants.map { try bench.reserve($0, 300) }
        #expect(try bench.sweep(isDryRun: true) == Sweeper.Summary(voided: 2))
        #expect(try bench.sweep(only: tenants[1]) == Sweeper.Summary(voided: 1, holdsSettled: 1))
        #expect(try holds.map { try bench.row($0)?.status } == [.pending, .voided])
        #expect(try bench.sweep() == Sweeper.Summary(voided: 1, holdsSettled: 1))
        for tenant in tenants { try bench.expectExactBooks(tenant) }
    }

    @Test func `rows of a process that renews its lease are never touched`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let elsewhere = OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1)
        try bench.ledger.renewOwner(elsewhere, leaseSeconds: 60)
        let hold = try bench.reserve(tenant, 300)
        for _ in 0..<3 { #expect(try bench.sweep() == Sweeper.Summary(alive: 1)) }
        #expect(try bench.row(hold)?.status == .pending)
        try bench.settle(hold, charge: 100)
        #expect(try bench.expectExactBooks(tenant).ledger.charged == Money(nanodollars: 100))
    }

    @Test func `rows of a process on another machine are ended when its lease has run out`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let elsewhere = OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1)
        try bench.ledger.renewOwner(elsewhere, leaseSeconds: 2)
        let hold = try bench.reserve(tenant, 300)
        #expect(try bench.sweep().alive == 1)
        let isSwept = try Eventually.holds { try bench.sweep().voided == 1 }
        #expect(isSwept)
        #expect(try bench.row(hold)?.status == .voided)
        try bench.expectExactBooks(tenant)
    }

    @Test func `after a start of PostgreSQL a process has one lease's time to show that it lives`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(postgres: postgres)
        let tenant = try bench.makeTenant(balance: 1_000)
        let elsewhere = OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1)
        try bench.ledger.renewOwner(elsewhere, leaseSeconds: 600)
        _ = try bench.reserve(tenant, 300)
        // PostgreSQL was away for an hour, and with it everybody's lease.
        try bench.execute(
            "UPDATE owners SET lease_until = lease_until - interval '1 hour', renewed_at = renewed_at - interval '1 hour'"
        )
        #expect(try bench.sweep() == Sweeper.Summary(alive: 1))
        // A lease so short has run out since.
        try bench.execute("UPDATE owners SET renewed_at = lease_until - interval '0.1 seconds'")
        let isSwept = try Eventually.holds { try bench.sweep().voided == 1 }
        #expect(isSwept)
        try bench.expectExactBooks(tenant)
    }

    @Test func `a process of this machine that is gone is recognised while its lease still runs`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let directory = try TemporaryDirectory()
        let child = try ChildProcess(["/bin/sleep", "600"], logPath: directory.path + "/log")
        let start = try #require(startTime(of: child.pid))
        let identity = OwnerIdentity(
            name: "bench", host: LocalProcess.host, pid: child.pid, processStart: start)
        try bench.ledger.renewOwner(identity, leaseSeconds: 3_600)
        _ = try bench.reserve(tenant, 300)
        #expect(try bench.sweep() == Sweeper.Summary(alive: 1))
        child.send(SIGKILL)
        _ = child.wait()
        #expect(try bench.sweep() == Sweeper.Summary(voided: 1, holdsSettled: 1))
        try bench.expectExactBooks(tenant)
    }

    @Test func `another process under the same number is not the owner`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let own = LocalProcess.identity()
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "bench", host: own.host, pid: own.pid, processStart: own.processStart - 1),
            leaseSeconds: 3_600)
        _ = try bench.reserve(tenant, 300)
        #expect(try bench.sweep().voided == 1)
    }

    @Test func `this process is alive to its own sweeper`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let own = LocalProcess.identity()
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "bench", host: own.host, pid: own.pid, processStart: own.processStart),
            leaseSeconds: 3_600)
        _ = try bench.reserve(tenant, 300)
        #expect(try bench.sweep() == Sweeper.Summary(alive: 1))
    }

    // MARK: - How they are ended

    @Test func `what a stream had delivered is charged at its price, and the rest given back`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let price = try publish(bench, input: 10_000_000, output: 30_000_000, perRequest: 7)
        let hold = try bench.reserve(tenant, 5_000)
        try checkpoint(bench, hold, price: price, input: 12, output: 34)
        #expect(try bench.sweep() == Sweeper.Summary(committed: 1, holdsSettled: 1))
        let row = try #require(
            try LedgerReader.transactions(bench.database, of: tenant, before: nil, status: nil, countMax: 1)
                .first)
        #expect(row.charge == Money(nanodollars: 12 * 10 + 34 * 30 + 7))
        #expect(row.status == "committed" && row.usageSource == "observed" && row.interruptedBy == "crash")
        #expect(row.isError && row.usage == Usage(input: 12, output: 34) && row.priceVersion == price)
        #expect(try bench.execute("SELECT 1 FROM stream_checkpoints").count == 0)
        try bench.expectExactBooks(tenant)
    }

    @Test func `a stream is never charged more than its hold, and the house takes the rest`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let price = try publish(bench, input: 10_000_000, output: 30_000_000)
        let hold = try bench.reserve(tenant, 500)
        try checkpoint(bench, hold, price: price, input: 10, output: 20)
        try bench.sweep()
        #expect(try bench.row(hold)?.charge == Money(nanodollars: 500))
        #expect(try bench.execute("SELECT amount FROM house_entries").int(0, 0) == 200)
        try bench.expectExactBooks(tenant)
    }

    @Test func `sweeping again changes nothing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        for _ in 0..<5 { _ = try bench.reserve(tenant, 100) }
        try bench.sweep()
        let before = try bench.books(tenant)
        #expect(try bench.sweep() == Sweeper.Summary())
        let after = try bench.books(tenant)
        #expect(after.ledger == before.ledger && after.image == before.image)
    }

    @Test func `two sweepers at once end each row once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100_000)
        for _ in 0..<50 { _ = try bench.reserve(tenant, 100) }
        _ = try Concurrently.run(4) { _ in try bench.sweep() }
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.voided == 50 && books.image?.balance == Money(nanodollars: 100_000))
        #expect(books.image?.dailyUsed == 0)
    }

    @Test func `more rows than one page holds are all looked at, behind living ones too`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100_000)
        var options = SettlementBench.Options()
        options.owner = "alive"
        let living = try bench.sibling(options)
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "alive", host: "another machine", pid: 1, processStart: 1),
            leaseSeconds: 3_600)
        let hour: Int64 = 3_600_000
        // Older than the sweeper ever looks back to, so that a row it overlooks is overlooked for good.
        for index in 0..<12 {
            _ = try living.reserve(tenant, 100, trace: .made(millisecondsAgo: 3 * hour - Int64(index)))
        }
        for index in 0..<13 {
            _ = try bench.reserve(tenant, 100, trace: .made(millisecondsAgo: 2 * hour - Int64(index)))
        }
        let summary = try bench.sweep(pageMax: 5)
        #expect(summary.alive == 12 && summary.voided == 13)
        #expect(try bench.sweep(pageMax: 5).alive == 12)
        try bench.expectExactBooks(tenant)
    }

    // MARK: - Holds without a row

    @Test func `a hold without a row is released when it is old enough, and its trace is taken`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let trace = TraceID.made(millisecondsAgo: 20_000)
        try takeHoldOnly(bench, tenant, trace, 300)
        #expect(try bench.sweep(graceSeconds: 600) == Sweeper.Summary())
        #expect(try bench.books(tenant).image?.held == Money(nanodollars: 300))
        #expect(try bench.sweep(graceSeconds: 10) == Sweeper.Summary(holdsReleased: 1))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
        // The insert that was on its way all the time comes too late.
        #expect(throws: SettlementError.self) { try bench.reserve(tenant, 300, trace: trace) }
        try bench.expectExactBooks(tenant)
    }

    @Test func `a hold whose row was committed is settled for its charge`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        // Committed, and the process died before it told Redis.
        guard case .written = bench.writer.write(.settlement(bench.committed(hold, 120))) else {
            Issue.record("not committed")
            return
        }
        #expect(try bench.sweep() == Sweeper.Summary(holdsSettled: 1))
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 880))
    }

    @Test func `a hold whose row is pending stays`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1),
            leaseSeconds: 3_600)
        _ = try bench.reserve(tenant, 300, trace: .made(millisecondsAgo: 60_000))
        try bench.sweep()
        #expect(try bench.expectExactBooks(tenant).image?.held == Money(nanodollars: 300))
    }

    // MARK: - Bookkeeping of the sweeper

    @Test func `the watermark stops at the oldest row that is left, and else a day ago`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        #expect(try bench.ledger.watermark(of: "sweep") == nil)
        try bench.sweep()
        let idle = try #require(try bench.ledger.watermark(of: "sweep"))
        #expect(abs(WallClock.unixMilliseconds - 86_400_000 - idle.unixMilliseconds) < 60_000)

        let owner = OwnerIdentity(name: "bench", host: "another machine", pid: 1, processStart: 1)
        try bench.ledger.renewOwner(owner, leaseSeconds: 3_600)
        try bench.ledger.setWatermark(of: "sweep", to: .made(millisecondsAgo: 4 * 86_400_000))
        let old = try bench.reserve(tenant, 100, trace: .made(millisecondsAgo: 2 * 86_400_000))
        try bench.sweep()
        #expect(try bench.ledger.watermark(of: "sweep") == old.trace)
        try bench.ledger.endOwner(owner)
        #expect(try bench.sweep().voided == 1, "a row at the watermark is looked at")
        #expect(try #require(try bench.ledger.watermark(of: "sweep")) > old.trace)
    }

    @Test func `a job runs once at a time and its lock ends with its connection`() throws {
        let bench = try SettlementBench()
        let outer = try bench.ledger.withJobLock("sweep") { () throws(JobError) -> Int? in
            do {
                return try bench.ledger.withJobLock("sweep") { () throws(JobError) in 1 }
            } catch {
                throw JobError.database("\(error)")
            }
        }
        #expect(outer == .some(.none), "a second one ran beside the first")
        #expect(try bench.ledger.withJobLock("sweep") { () throws(JobError) in 2 } == 2)
        #expect(try bench.ledger.withJobLock("other") { () throws(JobError) in 3 } == 3)
    }

    // MARK: -

    private func publish(
        _ bench: SettlementBench, input: Int64, output: Int64, perRequest: Int64 = 0
    ) throws -> Int64 {
        try bench.execute(
            """
            INSERT INTO prices (model, input, cached_input, cache_write, cache_write_hour, output, reasoning,
                audio_input, audio_output, per_request)
            VALUES ('m', \(input), 0, 0, 0, \(output), 0, 0, 0, \(perRequest)) RETURNING version
            """
        ).int(0, 0)
    }

    private func checkpoint(
        _ bench: SettlementBench, _ hold: Hold, price: Int64, input: Int64, output: Int64
    ) throws {
        try bench.ledger.writeCheckpoints([
            StreamCheckpoint(
                tenant: hold.tenant, trace: hold.trace, providerModelID: 1, priceVersion: price,
                inputTokens: input, outputTokens: output, source: .observed)
        ])
    }

    /// Takes a hold and dies before its row is inserted.
    private func takeHoldOnly(
        _ bench: SettlementBench, _ tenant: TenantID, _ trace: TraceID, _ amount: Int64
    ) throws {
        let reply = try bench.quota.deduct(
            HoldOrder(
                tenant: tenant, trace: trace, key: APIKeyID("key1"), amount: Money(nanodollars: amount),
                period: SettlementBench.period))
        guard case .held = reply else {
            Issue.record("not held: \(reply)")
            return
        }
    }

    /// When a process started, in clock ticks since boot.
    private func startTime(of pid: Int32) -> Int64? {
        guard let file = fopen("/proc/\(pid)/stat", "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = fread(&buffer, 1, buffer.count, file)
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? Int64(fields[19]) : nil
    }
}
