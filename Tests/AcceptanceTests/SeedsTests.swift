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

/// Boxes 8.1, R1 and R3 of the original requirements.
@Suite struct SeedsTests {
    @Test func `8.1 a cold cache is warmed by one request and the others wait for it`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        // The key and the connections are warm, the balance is not.
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
        let epoch = try #require(try LedgerReader.standing(gateway.stores.money.database, of: tenant)).epoch
        _ = try gateway.stores.money.redis.command(["FLUSHALL"])
        let statuses = try Concurrently.run(60) { _ in try gateway.insistingChat(ChatOrder(), key: key).status
        }
        #expect(statuses.allSatisfy { $0 == 200 }, "\(statuses)")
        let after = try #require(try LedgerReader.standing(gateway.stores.money.database, of: tenant)).epoch
        #expect(after == epoch + 1, "more than one request has rebuilt")
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `8.1 who waits for a rebuild that does not come is told to try again`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let redis = gateway.stores.money.redis
        _ = try redis.command(["FLUSHALL"])
        _ = try redis.command(["SET", QuotaKeys(tenant).warm, "a process that died", "PX", "3000"])
        let answer = try gateway.chat(ChatOrder(), key: key)
        #expect(answer.status == 503)
        #expect(answer.headers["retry-after"] == "1")
        let isServed = try Eventually.holds { try gateway.chat(ChatOrder(), key: key).status == 200 }
        #expect(isServed)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `R1 a stream is pending from its start and committed at its end, once`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(model: "sim-hold", isStream: true)
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key) }
        try gateway.waitForHeldCalls(1)
        let pending = try gateway.rows(of: tenant)
        #expect(pending.map(\.status) == ["pending"], "no provider is called without a row")
        try gateway.releaseHeldCalls()
        let answer = try request.wait()[0]
        #expect(answer.isComplete(order))
        let committed = try gateway.rows(of: tenant)
        #expect(committed.map(\.status) == ["committed"])
        #expect(committed.map(\.trace) == pending.map(\.trace) && committed[0].trace == answer.trace)
        #expect(committed[0].charge == (try gateway.providerCalls().first?.cost))
        // By its trace nothing of it can happen again.
        let bench = gateway.stores.money
        var again = RowSettlement(tenant: tenant, trace: committed[0].trace, status: .committed)
        again.charge = committed[0].hold
        guard case .standing(let row) = bench.writer.write(.settlement(again)) else {
            Issue.record("settled twice")
            return
        }
        #expect(row.charge == committed[0].charge)
        _ = try gateway.command("job", "sweep", "--hold-grace-seconds", "1")
        #expect(try gateway.rows(of: tenant) == committed)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `R1 a stream killed on its way is charged for its last checkpoint`() throws {
        var provider = SimulatorOptions()
        provider.chunks = 2_000
        let gateway = try TestGateway(provider: provider)
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(model: "sim-slow", isStream: true, maxTokens: 4_000)
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key) }
        let hasCheckpoint = try Eventually.holds {
            try gateway.stores.database.run(
                "SELECT count(*) FROM stream_checkpoints WHERE output_tokens > 0") == "1\n"
        }
        #expect(hasCheckpoint)
        gateway.kill()
        #expect(try request.wait()[0].isComplete(order) == false)
        #expect(try gateway.rows(of: tenant).map(\.status) == ["pending"])
        try gateway.start()
        // Its owner is dead, which this machine knows at once: no lease is waited for.
        try gateway.sweepUntilClean()
        let row = try #require(try gateway.rows(of: tenant).first)
        #expect(row.status == "committed" && row.usageSource == "observed" && row.interruptedBy == "crash")
        let call = try #require(try gateway.providerCalls().first)
        #expect(row.charge > .zero && row.charge <= row.hold)
        #expect(
            row.charge <= call.cost + Money(nanodollars: 10_000 * 100), "charged for more than was delivered")
        try gateway.stores.expectExactBooks(tenant)
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
    }

    @Test func `R3 a crash between the charge's commit and Redis recovers to the charge`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        try gateway.restart(crashAt: "5")
        let answer = try gateway.chat(ChatOrder(), key: key)
        #expect(answer.status == 502)
        #expect(gateway.waitForEnd(seconds: 10) == .exited(137))
        let between = try gateway.stores.books(tenant)
        #expect(between.ledger.committed == 1 && between.image?.holds.count == 1, "the crash came elsewhere")
        try gateway.start()
        try gateway.sweepUntilClean()
        let books = try gateway.stores.books(tenant)
        let cost = try gateway.providerCalls().first?.cost
        #expect(books.ledger.committed == 1 && books.ledger.charged == cost)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `R3 a crash between the hold and its row recovers to nothing, and the trace is taken`() throws
    {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        try gateway.restart(crashAt: "1")
        #expect(try gateway.chat(ChatOrder(), key: key).status == 502)
        #expect(gateway.waitForEnd(seconds: 10) == .exited(137))
        let hold = try #require(
            try gateway.stores.books(tenant).image?.holds.first, "the crash came elsewhere")
        #expect(try gateway.rows(of: tenant).isEmpty)
        try gateway.start()
        try gateway.sweepUntilClean()
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.voided == 1 && books.ledger.charged == .zero)
        #expect(books.image?.balance == Money(nanodollars: 10_000_000_000))
        #expect(try gateway.providerCalls().isEmpty)
        // The database's unique key decides: the insert that was on its way comes too late.
        let late = gateway.stores.money.writer.write(
            .pending(
                PendingRow(
                    tenant: tenant, trace: hold.trace, key: nil, epoch: hold.epoch, rseq: hold.rseq,
                    period: hold.period, hold: hold.amount, limitsVersion: 1, balanceBefore: .zero,
                    balanceAfter: .zero, deadlineMilliseconds: 1_000, capability: "chat", model: "sim-ok",
                    isStream: false)))
        guard case .standing(let row) = late else {
            Issue.record("a request that was given up came to life")
            return
        }
        #expect(row.status == .voided)
        try gateway.stores.expectExactBooks(tenant)
    }
}
