import Core
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

@Suite struct LostImageTests {
    /// How an image is lost.
    enum Loss: CaseIterable {
        case everything, hash
    }

    @Test(arguments: Loss.allCases)
    func `images lost again and again under load never let anybody spend too much`(loss: Loss) throws {
        let bench = try SettlementBench()
        let tenants = try (0..<3).map { try bench.makeTenant("tenant-\($0)", balance: 20_000) }
        let isOver = Atomic(false)
        let losses = Atomic<Int>(0)
        let lowest = Atomic<Int64>(.max)
        let loser = try WorkerThread(name: "loser") {
            while !isOver.load(ordering: .relaxed) {
                usleep(20_000)
                lose(loss, tenants[0], bench)
                losses.add(1, ordering: .relaxed)
                for tenant in tenants {
                    // Between two losses there may be no image to look at.
                    guard let balance = try? bench.quota.image(of: tenant)?.balance.nanodollars else {
                        continue
                    }
                    lowest.min(balance, ordering: .relaxed)
                }
            }
        }
        let admitted = try Concurrently.run(24) { index in
            try load(bench, tenants[index % 3])
        }.reduce(0, +)
        isOver.store(true, ordering: .relaxed)
        loser.join()
        #expect(losses.load(ordering: .relaxed) >= 5)
        #expect(admitted > 300, "only \(admitted) requests were served")
        #expect(lowest.load(ordering: .relaxed) >= 0)
        // There is an image to compare …
        for tenant in tenants { bench.void(try bench.reserve(tenant, 0)) }
        // … and a settlement that met none may have left its hold to the sweeper.
        try bench.sweep()
        for tenant in tenants {
            let books = try bench.expectExactBooks(tenant)
            #expect(books.ledger.pending == 0)
            #expect(books.ledger.charged <= books.ledger.credited)
            #expect(books.ledger.balance < Money(nanodollars: 100), "the money never ran out")
        }
    }

    @Test func `credits added while images are lost all count, once`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let isOver = Atomic(false)
        let loser = try WorkerThread(name: "loser") {
            while !isOver.load(ordering: .relaxed) {
                usleep(10_000)
                lose(.everything, tenant, bench)
            }
        }
        let unapplied = try Concurrently.run(8) { index in
            var unapplied = 0
            for number in 0..<25 {
                do throws(SettlementError) {
                    _ = try bench.engine.addCredit(
                        Money(nanodollars: 10), to: tenant, kind: "t", externalID: "\(index)-\(number)",
                        period: SettlementBench.period)
                } catch .unavailable {
                    unapplied += 1
                }
            }
            return unapplied
        }.reduce(0, +)
        isOver.store(true, ordering: .relaxed)
        loser.join()
        #expect(unapplied < 100)
        #expect(try bench.books(tenant).ledger.credited == Money(nanodollars: 3_000))
        // All of it, and not one more, can be spent.
        let hold = try bench.reserve(tenant, 3_000)
        #expect(bench.refusal(tenant, 1)?.limit == .balance)
        try bench.settle(hold, charge: 3_000)
        try bench.expectExactBooks(tenant)
    }

    @Test func `a credit that finds no image is there with the next one`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.redis.command(["FLUSHALL"])
        #expect(try bench.addCredit(500, to: tenant, "late") == .added(sequence: 2))
        let books = try bench.expectExactBooks(tenant)
        #expect(books.image?.balance == Money(nanodollars: 1_500))
        #expect(try bench.addCredit(500, to: tenant, "late") == .repeated(sequence: 2))
        try bench.expectExactBooks(tenant)
    }

    @Test func `a credit after one that was never applied brings that one along`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.ledger.addCredit(Money(nanodollars: 20), to: tenant, kind: "t", externalID: "lost")
        #expect(try bench.addCredit(500, to: tenant, "next") == .added(sequence: 3))
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_520))
    }

    @Test func `repeating a credit that was never applied applies it`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.ledger.addCredit(Money(nanodollars: 20), to: tenant, kind: "t", externalID: "lost")
        #expect(try bench.addCredit(20, to: tenant, "lost") == .repeated(sequence: 2))
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_020))
    }

    // MARK: -

    private func lose(_ loss: Loss, _ tenant: TenantID, _ bench: SettlementBench) {
        let keys = QuotaKeys(tenant)
        let command =
            switch loss {
            case .everything: ["FLUSHALL"]
            case .hash: ["DEL", keys.tenant]
            }
        _ = try? bench.redis.command(command)
    }

    /// Reserves, and settles or voids, until the money is gone; returns how many requests were admitted.
    private func load(_ bench: SettlementBench, _ tenant: TenantID) throws -> Int {
        var admitted = 0
        let deadline = Deadline.after(seconds: 60)
        while !deadline.isPast {
            do throws(SettlementError) {
                let hold = try bench.engine.reserve(bench.order(tenant, 100))
                admitted += 1
                if admitted % 7 == 0 {
                    bench.void(hold)
                } else {
                    let settlement = bench.committed(hold, Int64(40 + admitted % 60))
                    _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
                }
            } catch .unavailable {
                // Its image was lost four times while it tried.
            } catch .refused(let refusal) {
                #expect(refusal.limit == .balance)
                // What others hold at this moment may come back; what is charged does not.
                let totals = try LedgerReader.totals(bench.database, of: tenant)
                if totals.credited - totals.charged < Money(nanodollars: 100) { return admitted }
            } catch {
                throw error
            }
        }
        return admitted
    }
}
