import Core
import Jobs
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct ReserveTests {
    @Test func `a reservation is a hold in Redis and a pending row in the ledger`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        #expect(hold.amount == Money(nanodollars: 300))
        #expect(hold.held.balanceAfter == Money(nanodollars: 700))
        let row = try #require(try bench.row(hold))
        #expect(row.status == .pending && row.hold == hold.amount && row.owner == "bench")
        #expect(row.epoch == hold.held.epoch && row.rseq == hold.held.rseq)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.held == hold.amount && books.ledger.pending == 1)
    }

    @Test func `a settlement charges and gives the rest back, in both stores`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        let settled = try bench.settle(hold, charge: 120)
        #expect(settled.charge == Money(nanodollars: 120))
        #expect(settled.balance == Money(nanodollars: 880))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.charged == Money(nanodollars: 120) && books.ledger.committed == 1)
        #expect(books.image?.dailyUsed == 1)
    }

    @Test func `voiding gives everything back, the request's count too`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000, dailyQuota: 1)
        bench.void(try bench.reserve(tenant, 300))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.voided == 1 && books.ledger.charged == .zero)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
        _ = try bench.reserve(tenant, 300)
    }

    @Test func `a request that costs nothing goes through`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 10)
        #expect(try bench.settle(try bench.reserve(tenant, 0), charge: 0).balance == Money(nanodollars: 10))
        try bench.expectExactBooks(tenant)
    }

    @Test func `settling twice charges once and tells the first charge`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        try bench.settle(hold, charge: 120)
        #expect(try bench.settle(hold, charge: 250).charge == Money(nanodollars: 120))
        bench.void(hold)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.charged == Money(nanodollars: 120))
    }

    @Test func `a row that another ended is obeyed`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        #expect(try bench.sweep().voided == 1)
        // The caller is told: an answer whose charge was voided must not look like a success.
        #expect { try bench.settle(hold, charge: 120) } throws: { error in
            if case SettlementError.overruled = error { true } else { false }
        }
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.charged == .zero && books.image?.balance == Money(nanodollars: 1_000))
    }

    @Test func `a trace reserves once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let trace = TraceID.fresh()
        _ = try bench.reserve(tenant, 300, trace: trace)
        #expect { try bench.reserve(tenant, 301, trace: trace) } throws: { error in
            if case SettlementError.conflict = error { true } else { false }
        }
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.held == Money(nanodollars: 300))
    }

    @Test func `a trace that was voided before cannot reserve again and keeps nothing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 300)
        bench.void(hold)
        #expect(throws: SettlementError.self) { try bench.reserve(tenant, 300, trace: hold.trace) }
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_000) && books.image?.dailyUsed == 0)
    }

    @Test func `a tenant that does not exist is told as such`() throws {
        let bench = try SettlementBench()
        let stranger = try #require(TenantID("stranger"))
        #expect { try bench.reserve(stranger, 1) } throws: { error in
            if case SettlementError.unknownTenant = error { true } else { false }
        }
    }

    // MARK: - Refusals

    @Test func `what the balance does not cover is refused and takes nothing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let refusal = try #require(bench.refusal(tenant, 1_001))
        #expect(refusal.limit == .balance && refusal.balance == Money(nanodollars: 1_000))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.pending == 0 && books.image?.balance == Money(nanodollars: 1_000))
    }

    @Test func `of two hundred requests at once exactly as many are admitted as the balance covers`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 7 * 300 + 299)
        let epoch = try bench.epoch(of: tenant)
        let results = try Concurrently.run(200) { _ in
            do throws(SettlementError) {
                return (try bench.engine.reserve(bench.order(tenant, 300)) as Hold?, nil as QuotaRefusal?)
            } catch .refused(let refusal) {
                return (nil, refusal)
            } catch {
                throw error
            }
        }
        #expect(results.count { $0.0 != nil } == 7)
        #expect(results.count { $0.1?.limit == .balance } == 193)
        #expect(try bench.epoch(of: tenant) == epoch, "a refusal rebuilt an image that was current")
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 299))
    }

    @Test func `what is added while it is spent can all be spent`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        let credits = try Concurrently.begin(4) { index in
            for number in 0..<20 { try bench.addCredit(100, to: tenant, "\(index)-\(number)") }
        }
        let spent = try Concurrently.run(8) { _ in
            var spent = 0
            let deadline = Deadline.after(seconds: 60)
            while spent < 10, !deadline.isPast {
                guard let hold = try? bench.reserve(tenant, 100) else { continue }
                try bench.settle(hold, charge: 100)
                spent += 1
            }
            return spent
        }
        _ = try credits.wait()
        #expect(spent == Array(repeating: 10, count: 8))
        let books = try bench.expectExactBooks(tenant)
        #expect(
            books.ledger.credited == Money(nanodollars: 8_100)
                && books.image?.balance == Money(nanodollars: 100))
    }

    @Test func `an image that missed a credit is dropped instead of refusing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100)
        // Committed and not applied, as a crash in between leaves it.
        _ = try bench.ledger.addCredit(Money(nanodollars: 900), to: tenant, kind: "t", externalID: "late")
        #expect(try bench.reserve(tenant, 1_000).held.balanceAfter == .zero)
        try bench.expectExactBooks(tenant)
    }

    @Test func `an image that missed new limits is dropped instead of refusing`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 100, dailyQuota: 1)
        _ = try bench.reserve(tenant, 10)
        #expect(bench.refusal(tenant, 10)?.limit == .dailyQuota)
        try bench.execute("UPDATE tenants SET daily_quota = 2, limits_version = limits_version + 1")
        let hold = try bench.reserve(tenant, 10)
        #expect(hold.held.dailyUsed == 2 && hold.held.limitsVersion == 2)
        #expect(bench.refusal(tenant, 10)?.limit == .dailyQuota)
        try bench.expectExactBooks(tenant)
    }

    @Test func `a hold taken in an image of an earlier epoch is not served`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let before = try bench.reserve(tenant, 100)
        // Another process raised the epoch to rebuild; this image is stale without knowing it.
        let raised = try #require(
            try bench.ledger.raiseEpoch(of: tenant, above: before.held.epoch, sinceChange: 0))
        let hold = try bench.reserve(tenant, 100)
        #expect(hold.held.epoch > raised)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.held == Money(nanodollars: 200))
        try bench.settle(before, charge: 60)
        try bench.settle(hold, charge: 60)
        try bench.expectExactBooks(tenant)
    }
}
