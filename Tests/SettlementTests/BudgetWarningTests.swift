import Core
import Ledger
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct BudgetWarningTests {
    private func warning(
        _ tenant: TenantID, used: Int64, limit: Int64 = 1_000, _ budget: BudgetPeriod = .total,
        day: Int32 = 20_250_614
    ) throws -> BudgetWarning? {
        BudgetWarning(
            tenant: tenant, key: try #require(APIKeyID("key1")), budget: budget, in: Period(day: day),
            limit: Money(nanodollars: limit), used: Money(nanodollars: used))
    }

    @Test(arguments: [
        (899, 1_000, false), (900, 1_000, true), (1_200, 1_000, true), (9, 11, false), (10, 11, true),
        (0, 1, false),
        (1, 1, true), (8_100_000_000_000_000, 9_000_000_000_000_000, true),
    ])
    func `a warning is due from nine tenths on, to the nano-dollar`(used: Int64, limit: Int64, isDue: Bool)
        throws
    {
        let tenant = try #require(TenantID("acme"))
        #expect(try (warning(tenant, used: used, limit: limit) != nil) == isDue)
    }

    @Test func `a key is warned about once in each period`() throws {
        let tenant = try #require(TenantID("acme"))
        let keys = try [
            warning(tenant, used: 950), warning(tenant, used: 990), warning(tenant, used: 950, .day),
            warning(tenant, used: 950, .day, day: 20_250_615), warning(tenant, used: 950, .month),
            warning(tenant, used: 950, .month, day: 20_250_615),
        ].map { try #require($0).task.key }
        #expect(
            keys == [
                "acme:key1:total", "acme:key1:total", "acme:key1:20250614", "acme:key1:20250615",
                "acme:key1:202506", "acme:key1:202506",
            ])
        let memory = BudgetWarnings()
        let first = try #require(try warning(tenant, used: 950, .day))
        memory.note(first)
        #expect(memory.contains(try #require(try warning(tenant, used: 999, .day))))
        #expect(!memory.contains(try #require(try warning(tenant, used: 950, .day, day: 20_250_615))))
    }

    @Test func `a warning is given, kept, and told as an event`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let receiver = try WebhookReceiver()
        let task = try #require(try warning(tenant, used: 950)).task
        try bench.outbox.write([task])
        let given = Locked<[BudgetWarning]>([])
        for _ in 0..<2 {
            try bench.runOutbox(receiver.sender()) { notice in
                if case .budgetWarning(let warning) = notice { given.withLock { $0.append(warning) } }
            }
            #expect(try bench.outbox.write([task]) == 0, "it would be given again")
        }
        #expect(given.withLock { $0 } == [try #require(try warning(tenant, used: 950))])
        let delivery = try #require(receiver.deliveries.first)
        #expect(receiver.deliveries.count == 1 && delivery.isSigned)
        #expect(delivery.id == "budget-warning:acme:key1:total")
        #expect(
            delivery.body.hasSuffix(
                #""data":{"tenant":"acme","api_key":"key1","period":"total","budget":"0.000001000","used":"0.000000950"}}"#
            ), "\(delivery.body)")
    }

    @Test func `without a webhook the warning is given and no event made`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        try bench.outbox.write([try #require(try warning(tenant, used: 950)).task])
        #expect(try bench.runOutbox().done == 1)
        #expect(try bench.outbox.figures().open == 0)
    }
}
