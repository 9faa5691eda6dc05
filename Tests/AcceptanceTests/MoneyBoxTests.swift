import Core
import Gateway
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing

/// The money boxes of the original requirements, each by its number.
///
/// One gateway for all, and so one after the other: releasing held calls releases everybody's.
@Suite(.serialized) struct MoneyBoxTests {
    private static let gateway = Result { try TestGateway() }

    private func makeCaller(
        _ name: String, balance: String = "10", dailyQuota: Int64? = nil, monthlyQuota: Int64? = nil
    ) throws -> (gateway: TestGateway, tenant: TenantID, key: String) {
        let gateway = try Self.gateway.get()
        let tenant = try gateway.stores.makeTenant(
            name, balance: balance, dailyQuota: dailyQuota, monthlyQuota: monthlyQuota)
        return (gateway, tenant, try gateway.stores.makeKey(tenant))
    }

    @Test(arguments: [false, true])
    func `1.1 quota_check takes balance, daily and monthly count together, before the provider answers`(
        isStream: Bool
    ) throws {
        let (gateway, tenant, key) = try makeCaller("box-1-1-\(isStream)", dailyQuota: 5, monthlyQuota: 9)
        let order = ChatOrder(model: "sim-hold", isStream: isStream)
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key) }
        try gateway.waitForHeldCalls(1)
        let during = try #require(try gateway.stores.books(tenant).image)
        #expect(during.balance == Money(nanodollars: 10_000_000_000) - order.hold)
        #expect(during.dailyUsed == 1 && during.monthlyUsed == 1 && during.held == order.hold)
        try gateway.releaseHeldCalls()
        #expect(try request.wait()[0].isComplete(order))
        let after = try #require(try gateway.stores.books(tenant).image)
        #expect(after.dailyUsed == 1 && after.monthlyUsed == 1)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test(arguments: ["balance", "daily", "monthly"])
    func `1.1 a limit that refuses takes nothing of the others`(limit: String) throws {
        let (gateway, tenant, key) = try makeCaller(
            "box-1-1-\(limit)", balance: limit == "balance" ? "0.000000001" : "10",
            dailyQuota: limit == "daily" ? 0 : 5, monthlyQuota: limit == "monthly" ? 0 : 5)
        let before = try #require(try gateway.stores.books(tenant).image)
        let answer = try gateway.chat(ChatOrder(), key: key)
        #expect(answer.status == (limit == "balance" ? 402 : 429))
        #expect(answer.body.contains("insufficient_quota"))
        #expect(try gateway.stores.books(tenant).image == before)
        #expect(try gateway.rows(of: tenant).isEmpty, "a refused request has no row")
    }

    @Test func `1.2 billing only writes the transaction and takes no money again`() throws {
        let (gateway, tenant, key) = try makeCaller("box-1-2")
        let order = ChatOrder(model: "sim-hold")
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key) }
        try gateway.waitForHeldCalls(1)
        let pending = try gateway.rows(of: tenant)
        #expect(pending.map(\.status) == ["pending"])
        #expect(pending.map(\.hold) == [order.hold] && pending.map(\.charge) == [.zero])
        try gateway.releaseHeldCalls()
        let answer = try request.wait()[0]
        let committed = try gateway.rows(of: tenant)
        #expect(committed.map(\.status) == ["committed"] && committed.map(\.trace) == pending.map(\.trace))
        #expect(answer.headers["x-tollgate-cost"] == committed[0].charge.description)
        let books = try gateway.stores.books(tenant)
        #expect(books.image?.balance == Money(nanodollars: 10_000_000_000) - committed[0].charge)
        #expect(answer.headers["x-tollgate-balance"] == books.image?.balance.description)
    }

    @Test func `1.3 concurrent requests are each taken once and counted once`() throws {
        let (gateway, tenant, key) = try makeCaller("box-1-3", dailyQuota: 40, monthlyQuota: 40)
        let answers = try Concurrently.run(40) { index in
            let order = ChatOrder(isStream: index.isMultiple(of: 2))
            let answer = try gateway.insistingChat(order, key: key)
            return answer.isComplete(order) ? 200 : answer.status
        }
        #expect(answers.allSatisfy { $0 == 200 }, "\(answers)")
        let books = try gateway.stores.books(tenant)
        #expect(books.image?.dailyUsed == 40 && books.image?.monthlyUsed == 40)
        #expect(books.ledger.committed == 40 && books.ledger.pending == 0)
        let sum = try gateway.rows(of: tenant).reduce(Money.zero) { $0 + $1.charge }
        #expect(books.image?.balance == Money(nanodollars: 10_000_000_000) - sum)
        let refused = try gateway.chat(ChatOrder(), key: key)
        #expect(refused.status == 429)
        #expect(Int(refused.headers["retry-after"] ?? "") ?? 0 > 0)
        #expect(refused.headers["x-should-retry"] == "false")
    }

    @Test(arguments: [false, true])
    func `1.4 what was held too much is given back`(isStream: Bool) throws {
        let (gateway, tenant, key) = try makeCaller("box-1-4-\(isStream)")
        let order = ChatOrder(isStream: isStream, maxTokens: 2_000)
        #expect(try gateway.chat(order, key: key).isComplete(order))
        let row = try #require(try gateway.rows(of: tenant).first)
        let call = try #require(try gateway.providerCalls().first { $0.trace == row.trace.description })
        #expect(row.charge == call.cost && row.hold == order.hold && row.charge < row.hold)
        let books = try gateway.stores.books(tenant)
        #expect(books.image?.balance == Money(nanodollars: 10_000_000_000) - call.cost)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test(arguments: [
        ("sim-500", false), ("sim-500", true), ("sim-429", false), ("sim-garbage", false),
        ("sim-unauthorized", true),
    ])
    func `1.4 a request that failed costs nothing and does not count`(model: String, isStream: Bool) throws {
        let (gateway, tenant, key) = try makeCaller("box-1-4-\(model)-\(isStream)", dailyQuota: 1)
        for _ in 0..<2 {
            let answer = try gateway.chat(ChatOrder(model: model, isStream: isStream), key: key)
            #expect(answer.status >= 429, "\(answer)")
        }
        let rows = try gateway.rows(of: tenant)
        #expect(rows.map(\.status) == ["voided", "voided"] && rows.allSatisfy { $0.charge == .zero })
        let image = try #require(try gateway.stores.books(tenant).image)
        #expect(image.balance == Money(nanodollars: 10_000_000_000))
        #expect(image.dailyUsed == 0 && image.monthlyUsed == 0)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test(arguments: [false, true])
    func `1.4 an answer never costs more than its hold, because the cap goes to the provider`(isStream: Bool)
        throws
    {
        let (gateway, tenant, key) = try makeCaller("box-1-4-cap-\(isStream)")
        let order = ChatOrder(isStream: isStream, maxTokens: 3)
        #expect(try gateway.chat(order, key: key).isComplete(order))
        let row = try #require(try gateway.rows(of: tenant).first)
        let call = try #require(try gateway.providerCalls().first { $0.trace == row.trace.description })
        #expect(call.completion_tokens == 3, "the provider would have answered with sixteen")
        #expect(row.charge == call.cost)
    }

    @Test func `a tenant's credit limit is spent and not a nano-dollar more`() throws {
        let gateway = try Self.gateway.get()
        // As few tokens as a hold must pay for, so that it is never lowered.
        let order = ChatOrder(maxTokens: 16)
        let tenant = try gateway.stores.makeTenant(
            "credit-limit", balance: "0.000000001", creditLimit: order.hold - Money(nanodollars: 1))
        let key = try gateway.stores.makeKey(tenant)
        #expect(try gateway.chat(order, key: key).status == 200)
        #expect(try gateway.chat(order, key: key).status == 402)
        #expect(try gateway.stores.books(tenant).ledger.committed == 1)
        try gateway.stores.expectExactBooks(tenant)
    }
}
