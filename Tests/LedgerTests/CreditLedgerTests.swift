import Core
import Postgres
import TestSupport
import TestTools
import Testing

@testable import Ledger

@Suite struct CreditLedgerTests {
    private func add(_ bench: LedgerBench, _ tenant: TenantID, _ amount: Int64, _ id: String) throws
        -> CreditOutcome
    {
        try bench.ledger.addCredit(Money(nanodollars: amount), to: tenant, kind: "topup", externalID: id)
    }

    @Test func `credits of a tenant are numbered without gaps`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        #expect(try add(bench, tenant, 10, "a") == .added(sequence: 1))
        #expect(try add(bench, tenant, 20, "b") == .added(sequence: 2))
        #expect(try add(bench, tenant, 10, "a") == .repeated(sequence: 1))
        #expect(try add(bench, tenant, 30, "c") == .added(sequence: 3))
        #expect(try LedgerReader.totals(bench.app, of: tenant).credited == Money(nanodollars: 60))
        #expect(try LedgerReader.standing(bench.app, of: tenant)?.creditSequence == 3)
    }

    @Test func `the same number with another amount is a conflict and adds nothing`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        _ = try add(bench, tenant, 10, "a")
        #expect(try add(bench, tenant, 11, "a") == .conflict(Money(nanodollars: 10)))
        #expect(try LedgerReader.totals(bench.app, of: tenant).credited == Money(nanodollars: 10))
    }

    @Test func `two tenants may use the same number`() throws {
        let bench = try LedgerBench()
        let first = try bench.makeTenant("a")
        let second = try bench.makeTenant("b")
        #expect(try add(bench, first, 10, "invoice-1") == .added(sequence: 1))
        #expect(try add(bench, second, 99, "invoice-1") == .added(sequence: 1))
    }

    @Test func `a tenant that does not exist gets no credit`() throws {
        let bench = try LedgerBench()
        let stranger = try #require(TenantID("stranger"))
        #expect(try add(bench, stranger, 10, "a") == .unknownTenant)
        #expect(try bench.execute("SELECT 1 FROM credits").count == 0)
    }

    @Test func `of many that add the same credit one does, and the numbers stay without gaps`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let outcomes = try Concurrently.run(16) { index in
            try bench.ledger.addCredit(
                Money(nanodollars: 10), to: tenant, kind: "topup", externalID: "invoice-\(index % 4)")
        }
        let added = outcomes.compactMap { outcome in
            if case .added(let sequence) = outcome { sequence } else { nil }
        }
        #expect(added.sorted() == [1, 2, 3, 4])
        #expect(outcomes.count { if case .repeated = $0 { true } else { false } } == 12)
        #expect(try LedgerReader.totals(bench.app, of: tenant).credited == Money(nanodollars: 40))
    }

    @Test func `credits after a number come in their order`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        for number in 1...5 { _ = try add(bench, tenant, Int64(number * 10), "\(number)") }
        let rest = try bench.ledger.credits(of: tenant, after: 3)
        #expect(rest.map(\.sequence) == [4, 5])
        #expect(rest.map(\.amount.nanodollars) == [40, 50])
    }

    @Test func `no credit lifts a balance above what can be stored exactly`() throws {
        let bench = try LedgerBench()
        let tenant = try bench.makeTenant()
        let top = Money.limit.nanodollars
        #expect(try add(bench, tenant, top, "a") == .added(sequence: 1))
        #expect(try add(bench, tenant, 1, "b") == .beyondLimit)
        #expect(try add(bench, tenant, top, "a") == .repeated(sequence: 1))
        let trace = try bench.insert(tenant, hold: 500)
        #expect(try add(bench, tenant, 1, "b") == .beyondLimit, "what is held may come back")
        #expect(bench.writer.write(.settlement(bench.committed(tenant, trace, charge: 400))).isWritten)
        #expect(try add(bench, tenant, 401, "b") == .beyondLimit)
        #expect(try add(bench, tenant, 400, "b") == .added(sequence: 2))
        #expect(try LedgerReader.totals(bench.app, of: tenant).balance == .limit)
    }
}
