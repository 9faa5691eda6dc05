import Core
import Glibc
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing

/// Raising holds of requests that run, over both stores.
@Suite struct ExtendTests {
    private func extended(
        _ bench: SettlementBench, _ hold: Hold, to amount: Int64,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Hold {
        let outcome = bench.engine.extend(hold, to: Money(nanodollars: amount))
        guard case .extended(let raised) = outcome else {
            Issue.record("\(outcome)", sourceLocation: sourceLocation)
            return hold
        }
        return raised
    }

    private func isRefused(_ outcome: HoldExtender.Outcome) -> Bool {
        if case .refused = outcome { true } else { false }
    }

    @Test func `both sides hold what a request was raised to, and it may be charged`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try extended(bench, try bench.reserve(tenant, 10), to: 40)
        #expect(hold.amount == Money(nanodollars: 40))
        #expect(try bench.row(hold)?.hold == hold.amount)
        let during = try bench.expectExactBooks(tenant)
        #expect(during.image?.balance == Money(nanodollars: 60) && during.image?.held == hold.amount)
        try bench.settle(hold, charge: 35)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 65))
    }

    @Test func `a hold takes what is left, and is refused when nothing is`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let other = try bench.reserve(tenant, 30)
        let hold = try extended(bench, try bench.reserve(tenant, 10), to: 5_000)
        #expect(hold.amount == Money(nanodollars: 70))
        #expect(try bench.row(hold)?.hold == hold.amount)
        #expect(isRefused(bench.engine.extend(hold, to: Money(nanodollars: 5_000))))
        bench.void(other)
        #expect(try extended(bench, hold, to: 90).amount == Money(nanodollars: 90))
        try bench.expectExactBooks(tenant)
    }

    @Test func `a rebuild between keeps the raised hold`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try extended(bench, try bench.reserve(tenant, 10), to: 40)
        _ = try bench.redis.command(["FLUSHALL"])
        #expect(try extended(bench, hold, to: 60).amount == Money(nanodollars: 60))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.held == Money(nanodollars: 60) && books.ledger.held == Money(nanodollars: 60))
    }

    @Test func `an image of an earlier epoch is dropped, and the next one asked`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try bench.reserve(tenant, 10)
        _ = try bench.ledger.raiseEpoch(of: tenant, above: try bench.epoch(of: tenant), sinceChange: 0)
        #expect(try extended(bench, hold, to: 40).amount == Money(nanodollars: 40))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.epoch == (try bench.epoch(of: tenant)))
        #expect(books.image?.balance == Money(nanodollars: 60))
    }

    @Test func `an image that lacks a credit is not believed to have nothing left`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10)
        let hold = try bench.reserve(tenant, 10)
        // The credit is in the ledger, and its writer died before it told the image.
        _ = try bench.ledger.addCredit(
            Money(nanodollars: 50), to: tenant, kind: "test", externalID: "untold")
        #expect(try extended(bench, hold, to: 40).amount == Money(nanodollars: 40))
        try bench.expectExactBooks(tenant)
    }

    @Test func `a request that another has ended is not raised`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try bench.reserve(tenant, 10)
        bench.void(hold)
        guard case .overruled = bench.engine.extend(hold, to: Money(nanodollars: 40)) else {
            Issue.record("raised after its end")
            return
        }
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 100))
    }

    @Test func `without Redis it cannot be decided, and nothing is raised`() throws {
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 300
        let bench = try SettlementBench(options)
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try bench.reserve(tenant, 10)
        bench.server.server.process?.send(SIGSTOP)
        defer { bench.server.server.process?.send(SIGCONT) }
        guard case .failed = bench.engine.extend(hold, to: Money(nanodollars: 40)) else {
            Issue.record("raised without Redis")
            return
        }
        #expect(try bench.row(hold)?.hold == hold.amount)
    }

    @Test func `what a dead process had raised is all given back by the sweeper`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let holds = try Concurrently.run(8) { _ in
            try extended(bench, try bench.reserve(tenant, 2), to: 10)
        }
        #expect(holds.allSatisfy { $0.amount == Money(nanodollars: 10) })
        let during = try bench.expectExactBooks(tenant)
        #expect(during.ledger.held == Money(nanodollars: 80))
        try bench.sweep()
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 100))
    }
}
