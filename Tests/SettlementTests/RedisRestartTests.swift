import Core
import Foundation
import Glibc
import Jobs
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct RedisRestartTests {
    private func quickBench() throws -> SettlementBench {
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 2_000
        return try SettlementBench(options)
    }

    /// Reserves until Redis is back.
    private func reserveWhenBack(_ bench: SettlementBench, _ tenant: TenantID, _ amount: Int64) throws -> Hold
    {
        var hold: Hold?
        let isBack = Eventually.holds {
            hold = try? bench.reserve(tenant, amount)
            return hold != nil
        }
        #expect(isBack)
        return try #require(hold)
    }

    @Test func `after a restart the image is rebuilt although Redis kept its data`() throws {
        let bench = try quickBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let pending = try bench.reserve(tenant, 100)
        let before = try #require(try bench.quota.image(of: tenant))
        bench.server.server.stop()
        try bench.server.server.start()
        let hold = try reserveWhenBack(bench, tenant, 10)
        let after = try #require(try bench.quota.image(of: tenant))
        #expect(after.incarnation != before.incarnation)
        #expect(after.epoch > before.epoch && hold.held.epoch == after.epoch)
        try bench.settle(pending, charge: 100)
        try bench.settle(hold, charge: 10)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 890))
    }

    @Test func `data from before the last writes is not believed`() throws {
        let bench = try quickBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let directory = bench.server.server.directory
        // A copy of the data in which nothing is spent …
        bench.server.server.stop()
        let data = directory + "/appendonlydir"
        try FileManager.default.copyItem(atPath: data, toPath: directory + "/older")
        try bench.server.server.start()
        // … then almost everything is …
        try bench.settle(try reserveWhenBack(bench, tenant, 900), charge: 900)
        bench.server.server.stop(isImmediate: true)
        try FileManager.default.removeItem(atPath: data)
        try FileManager.default.moveItem(atPath: directory + "/older", toPath: data)
        try bench.server.server.start()
        // … and the copy comes back.
        var refusal: QuotaRefusal?
        let isBack = Eventually.holds {
            refusal = bench.refusal(tenant, 101)
            return refusal != nil
        }
        #expect(isBack)
        #expect(refusal?.balance == Money(nanodollars: 100))
        try bench.settle(try bench.reserve(tenant, 100), charge: 100)
        #expect(try bench.expectExactBooks(tenant).image?.balance == .zero)
    }

    @Test func `scripts that Redis forgets cost no request`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000_000)
        let isOver = Atomic(false)
        let flushes = try Concurrently.begin(1) { _ in
            var count = 0
            while !isOver.load(ordering: .relaxed) {
                _ = try bench.redis.command(["SCRIPT", "FLUSH"])
                count += 1
                usleep(3_000)
            }
            return count
        }
        try Concurrently.run(16) { _ in
            for _ in 0..<20 { try bench.settle(try bench.reserve(tenant, 100), charge: 60) }
        }
        isOver.store(true, ordering: .relaxed)
        #expect(try flushes.wait()[0] >= 5)
        let books = try bench.expectExactBooks(tenant)
        #expect(books.ledger.charged == Money(nanodollars: 16 * 20 * 60))
    }

    @Test func `a Redis out of memory reserves nothing and still settles`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let charged = try bench.reserve(tenant, 300)
        let voided = try bench.reserve(tenant, 300)
        _ = try bench.redis.command(["CONFIG", "SET", "maxmemory", "1"])
        #expect {
            try bench.reserve(tenant, 100)
        } throws: {
            if case SettlementError.unavailable = $0 { true } else { false }
        }
        #expect(try bench.settle(charged, charge: 120).balance == Money(nanodollars: 580))
        bench.void(voided)
        #expect(bench.retries.count == 0)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 880))
        _ = try bench.redis.command(["CONFIG", "SET", "maxmemory", "0"])
        try bench.settle(try bench.reserve(tenant, 880), charge: 880)
        try bench.expectExactBooks(tenant)
    }

    @Test func `kill -9 of Redis under load costs refusals and no money`() throws {
        let bench = try quickBench()
        let tenants = try (0..<2).map { try bench.makeTenant("tenant-\($0)", balance: 30_000) }
        let isOver = Atomic(false)
        let restarts = Atomic<Int>(0)
        let killer = try WorkerThread(name: "killer") {
            while !isOver.load(ordering: .relaxed) {
                usleep(300_000)
                bench.server.server.process?.send(SIGKILL)
                _ = bench.server.server.process?.wait(until: .after(seconds: 10))
                // A server that does not start shows in the requests below.
                try? bench.server.server.start()
                restarts.add(1, ordering: .relaxed)
            }
        }
        let admitted = try Concurrently.run(12) { index in
            var admitted = 0
            let tenant = tenants[index % 2]
            for _ in 0..<60 {
                do throws(SettlementError) {
                    let hold = try bench.engine.reserve(bench.order(tenant, 100))
                    admitted += 1
                    let settlement = bench.committed(hold, 70)
                    _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
                } catch .unavailable {
                    usleep(5_000)
                } catch .refused(let refusal) {
                    #expect(refusal.limit == .balance)
                }
            }
            return admitted
        }.reduce(0, +)
        isOver.store(true, ordering: .relaxed)
        killer.join()
        #expect(restarts.load(ordering: .relaxed) >= 1)
        #expect(admitted > 100, "only \(admitted) requests were served")
        #expect(bench.retries.drain(until: .after(seconds: 30)))
        for tenant in tenants {
            // Makes sure that there is an image of this life of Redis to compare.
            bench.void(try reserveWhenBack(bench, tenant, 0))
        }
        try bench.sweep()
        for tenant in tenants {
            let books = try bench.expectExactBooks(tenant)
            #expect(books.ledger.pending == 0 && books.ledger.charged <= books.ledger.credited)
        }
    }
}
