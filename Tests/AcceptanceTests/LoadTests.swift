import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

/// Many requests at once, and the books to the nano-dollar afterwards.
///
/// One after the other: each takes all that the machine has.
@Suite(.serialized) struct LoadTests {
    /// One request of a load, as its client saw it.
    private struct Seen: Sendable {
        let order: ChatOrder
        let tenant: TenantID
        let answer: TestHTTP.Answer
        var began = Deadline.now
    }

    private func makeCallers(
        _ gateway: TestGateway, tenants: Int, balance: String, budget: KeyBudget? = nil
    ) throws -> [(tenant: TenantID, key: String)] {
        try (0..<tenants).flatMap { number in
            let tenant = try gateway.stores.makeTenant("tenant-\(number)", balance: balance)
            return try (0..<2).map { _ in (tenant, try gateway.stores.makeKey(tenant, budget: budget)) }
        }
    }

    /// The n-th request of a load: plain and streamed by turns, a few that fail, some with cached tokens.
    private static func order(_ number: Int) -> ChatOrder {
        var order = ChatOrder(isStream: number.isMultiple(of: 2), maxTokens: 4 + number % 13)
        order.text = String(repeating: "word ", count: 1 + number % 29)
        if number % 49 == 7 { order.model = "sim-500" }
        if number % 11 == 3 { order.model = "sim-cached" }
        return order
    }

    /// What 64 clients see that ask without a pause for as long as something else happens.
    ///
    /// - Parameter meanwhile: What happens; it can wait for so many further answers.
    private func load(
        _ gateway: TestGateway, _ callers: [(tenant: TenantID, key: String)],
        meanwhile: (_ waitForMore: (Int) -> Void) throws -> Void
    ) throws -> [Seen] {
        let isOver = Atomic(false)
        let answered = Atomic<Int>(0)
        let clients = try Concurrently.begin(64) { index in
            var seen: [Seen] = []
            var number = index
            while !isOver.load(ordering: .relaxed) {
                let order = Self.order(number)
                let caller = callers[number % callers.count]
                let began = Deadline.now
                let answer = try gateway.chat(order, key: caller.key)
                seen.append(Seen(order: order, tenant: caller.tenant, answer: answer, began: began))
                answered.add(1, ordering: .relaxed)
                number += 64
                // Nginx says at once that there is nobody: not faster than a client would ask again.
                if answer.trace == nil { usleep(20_000) }
            }
            return seen
        }
        let outcome = Result {
            try meanwhile { count in
                let before = answered.load(ordering: .relaxed)
                #expect(Eventually.holds(seconds: 60) { answered.load(ordering: .relaxed) > before + count })
            }
        }
        isOver.store(true, ordering: .relaxed)
        let seen = try clients.wait().flatMap { $0 }
        try outcome.get()
        return seen
    }

    @Test func `I2 while 64 clients ask, each tenant's two sides are equal at every sample`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_LOG_LEVEL": "error"])
        let callers = try makeCallers(
            gateway, tenants: 5, balance: "1000",
            budget: KeyBudget(limit: Money(nanodollars: 900_000_000_000), period: .day))
        let money = gateway.stores.money
        var lookups = gateway.stores.configuration.databaseConfiguration(name: "audit", connectionsMax: 1)
        lookups.sessionSettings = LedgerAudit.sessionSettings
        let reconciler = Reconciler(
            quota: money.quota, ledger: money.ledger,
            audit: LedgerAudit(lookups: PostgresPool(lookups), scans: money.database))
        let tenants = Array(Set(callers.map(\.tenant)))
        let ends = Deadline.after(seconds: Self.sampledSeconds)
        var (samples, holds, budgets) = (0, 0, 0)
        let seen = try load(gateway, callers) { _ in
            while !ends.isPast {
                let step = try reconciler.compare(tenants)
                #expect(step.failures.isEmpty)
                for tenant in step.tenants where !tenant.isExact { Issue.record("\(tenant)") }
                samples += step.compared
                holds += step.tenants.reduce(0) { $0 + $1.image.holds.count }
                budgets += step.tenants.reduce(0) { $0 + $1.budgets.count { $0.shown.used > .zero } }
            }
        }
        print(
            "\(seen.count) requests in \(Self.sampledSeconds) s, \(samples) samples with \(holds) holds, \(budgets) of budgets"
        )
        #expect(samples > 100 && holds > samples && budgets > samples)
        for tenant in tenants { try gateway.stores.expectExactBooks(tenant) }
    }

    /// For how long the books are sampled under load: `TOLLGATE_TEST_SAMPLED_SECONDS` for more.
    private static let sampledSeconds =
        ProcessInfo.processInfo.environment["TOLLGATE_TEST_SAMPLED_SECONDS"].flatMap { Int($0) } ?? 5

    @Test func `after ten thousand requests every tenant's books and the provider's log agree`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_LOG_LEVEL": "error"])
        let callers = try makeCallers(gateway, tenants: 5, balance: "1000")
        let next = Atomic<Int>(0)
        let began = Deadline.now
        let seen = try Concurrently.run(64) { _ in
            var seen: [Seen] = []
            while true {
                let number = next.add(1, ordering: .relaxed).oldValue
                guard number < 10_000 else { return seen }
                let order = Self.order(number)
                let caller = callers[number % callers.count]
                seen.append(
                    Seen(
                        order: order, tenant: caller.tenant,
                        answer: try gateway.insistingChat(order, key: caller.key))
                )
            }
        }.flatMap { $0 }
        let seconds = began.elapsedNanoseconds / 1_000_000_000
        print("10,000 requests at concurrency 64: \(seconds) s, \(10_000 / max(seconds, 1)) a second")

        let failing = seen.filter { $0.order.model == "sim-500" }
        #expect(seen.count == 10_000 && failing.count > 150)
        #expect(failing.allSatisfy { $0.answer.status == 502 })
        let others = seen.filter { $0.order.model != "sim-500" }
        let incomplete = others.filter { !$0.answer.isComplete($0.order) }
        #expect(incomplete.isEmpty, "\(incomplete.count) of them: \(String(describing: incomplete.first))")
        try expectTruth(gateway, seen)
        for tenant in Set(callers.map(\.tenant)) {
            let books = try gateway.stores.books(tenant)
            #expect(books.ledger.committed == others.count { $0.tenant == tenant })
            #expect(books.ledger.pending == 0)
            try gateway.stores.expectExactBooks(tenant)
        }
        try gateway.expectLogAndLedgerAgree()
        let charged = try gateway.rows().reduce(Money.zero) { $0 + $1.charge }
        let cost = try gateway.providerCalls().filter { $0.outcome == "complete" }
            .reduce(Money.zero) { $0 + $1.cost }
        #expect(charged == cost)
        #expect(try gateway.providerCalls().count == 10_000)
    }

    @Test func `kill -9 under load costs answers and no money`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_LOG_LEVEL": "error"])
        let callers = try makeCallers(gateway, tenants: 3, balance: "1000")
        let seen = try load(gateway, callers) { waitForMore in
            for _ in 1...2 {
                waitForMore(600)
                gateway.kill()
                try gateway.start()
            }
            waitForMore(300)
        }

        try gateway.sweepUntilClean()
        #expect(seen.contains { $0.answer.trace == nil }, "no request was hit by the kills")
        try expectTruth(gateway, seen)
        for tenant in Set(callers.map(\.tenant)) { try gateway.stores.expectExactBooks(tenant) }
        // What nobody is charged for, the provider may have done all the same; nobody is charged for more than it did.
        let calls = Dictionary(
            try gateway.providerCalls().map { ($0.trace ?? "", $0) }, uniquingKeysWith: { first, _ in first })
        for row in try gateway.rows() where row.status == "committed" && row.usageSource == "provider" {
            #expect(row.charge == calls[row.trace.description]?.cost, "\(row)")
        }
    }

    @Test func `kill -9 of one of two processes fails what it was serving and nothing else`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_LOG_LEVEL": "error"], processes: 2)
        let callers = try makeCallers(gateway, tenants: 3, balance: "1000")
        var killed = Deadline.never
        let seen = try load(gateway, callers) { waitForMore in
            waitForMore(600)
            try gateway.processes().kill(0)
            // The process is gone, and its connections with it.
            killed = Deadline.now
            waitForMore(600)
        }

        let failed = seen.filter { $0.order.model != "sim-500" && !$0.answer.isComplete($0.order) }
        #expect(!failed.isEmpty, "no request was hit by the kill")
        #expect(failed.allSatisfy { $0.began < killed }, "\(failed.filter { $0.began >= killed }.prefix(3))")
        #expect(failed.count <= 64)
        try gateway.sweepUntilClean()
        try expectTruth(gateway, seen)
        for tenant in Set(callers.map(\.tenant)) { try gateway.stores.expectExactBooks(tenant) }
    }

    /// Checks what the clients saw against the ledger.
    ///
    /// I10: whoever saw a final answer has a committed row, with the charge that it was told. I11: whoever was told of a failure by
    /// us is charged nothing.
    private func expectTruth(_ gateway: TestGateway, _ seen: [Seen]) throws {
        let rows = Dictionary(
            try gateway.rows().map { ($0.trace, $0) }, uniquingKeysWith: { first, _ in first })
        var wrong: [String] = []
        for entry in seen {
            guard let trace = entry.answer.trace else { continue }
            let row = rows[trace]
            if entry.answer.isComplete(entry.order) {
                let told = entry.answer.headers["x-tollgate-cost"]
                if row?.status != "committed" || (told != nil && told != row?.charge.description) {
                    wrong.append("answered: \(entry.answer.status) \(String(describing: row))")
                }
            } else if entry.answer.status >= 400, let row, row.status != "voided" || row.charge > .zero {
                wrong.append("refused: \(entry.answer.status) \(row)")
            }
            if let row, row.tenant != entry.tenant.description { wrong.append("another's: \(row)") }
        }
        #expect(wrong.isEmpty, "\(wrong.count) answers, such as \(wrong.prefix(3))")
        let traces = seen.compactMap(\.answer.trace)
        #expect(Set(traces).count == traces.count, "two requests had one name")
    }
}
