import Core
import Gateway
import Glibc
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
import Threads

@Suite struct MoneyDrainTests {
    @Test func `on SIGTERM streams end regularly, are charged, and the process ends well`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let stream = ChatOrder(model: "sim-slow", isStream: true)
        let plain = ChatOrder(model: "sim-hold")
        let streams = try Concurrently.begin(8) { _ in try gateway.chat(stream, key: key) }
        let plains = try Concurrently.begin(2) { _ in try gateway.chat(plain, key: key) }
        try gateway.waitForHeldCalls(2)
        let areRunning = try Eventually.holds { try gateway.rows(of: tenant).count == 10 }
        #expect(areRunning)

        let ending = try Concurrently.begin(1) { _ in gateway.stop(seconds: 40) }
        // The plain answers come while it drains.
        usleep(200_000)
        try gateway.releaseHeldCalls()
        #expect(try streams.wait().allSatisfy { $0.isComplete(stream) })
        #expect(try plains.wait().allSatisfy { $0.isComplete(plain) })
        #expect(try ending.wait() == [.exited(0)])

        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.committed == 10 && books.ledger.pending == 0)
        #expect(books.image?.holds.isEmpty == true)
        try gateway.stores.expectExactBooks(tenant)
        try gateway.expectLogAndLedgerAgree()
        let owners = try gateway.stores.database.run("SELECT count(*) FROM owners")
        #expect(owners == "0\n", "a process that ended well has given its lease up")

        try gateway.start()
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test
    func `streams that outlast the drain are ended, charged for what was delivered, and nothing is left`()
        throws
    {
        var provider = SimulatorOptions()
        provider.chunks = 2_000
        let gateway = try TestGateway(environment: ["TOLLGATE_DRAIN_SECONDS": "1"], provider: provider)
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(model: "sim-slow", isStream: true, maxTokens: 4_000)
        let streams = try Concurrently.begin(4) { _ in try gateway.chat(order, key: key) }
        // Every stream has delivered something.
        let areRunning = try Eventually.holds {
            try gateway.stores.database.run("SELECT count(*) FROM stream_checkpoints") == "4\n"
        }
        #expect(areRunning)
        #expect(gateway.stop(seconds: 30) == .exited(0))
        #expect(try streams.wait().allSatisfy { !$0.isComplete(order) })
        let rows = try gateway.rows(of: tenant)
        #expect(rows.count == 4 && rows.allSatisfy { $0.status == "committed" && $0.charge > .zero })
        #expect(rows.allSatisfy { $0.interruptedBy == "shutdown" && $0.usageSource == "observed" })
        try gateway.stores.expectExactBooks(tenant)
        let left = try gateway.stores.database.run("SELECT count(*) FROM stream_checkpoints")
        #expect(left == "0\n")
    }

    @Test func `a live process is never swept, however long its requests take`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_OWNER_LEASE_SECONDS": "2"])
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(model: "sim-hold")
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key) }
        try gateway.waitForHeldCalls(1)
        // Two leases and more.
        let end = Deadline.after(seconds: 5)
        while !end.isPast {
            let swept = try gateway.command("job", "sweep", "--hold-grace-seconds", "1", "--json")
            #expect(swept.status == 0)
            #expect(
                swept.output.contains(#""alive":1"#) && swept.output.contains(#""voided":0"#),
                "\(swept.output)")
        }
        #expect(try gateway.rows(of: tenant).map(\.status) == ["pending"])
        try gateway.releaseHeldCalls()
        #expect(try request.wait()[0].status == 200)
        try gateway.stores.expectExactBooks(tenant)
        try gateway.expectLogAndLedgerAgree()
    }
}
