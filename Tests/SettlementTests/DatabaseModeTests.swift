import Core
import Ledger
import Postgres
import PrivateServers
import Quota
import Settlement
import Synchronization
import Tenancy
import TestSupport
import TestTools
import Testing
import Threads

/// Reserving in the ledger itself, while Redis is lost.
@Suite struct DatabaseModeTests {
    private typealias Bench = SettlementBench

    /// A process that gives Redis up, and uses it again, after a second.
    private static func options(_ owner: String = "bench", follows: Bool = true) -> Bench.Options {
        var options = Bench.Options()
        options.owner = owner
        options.redisTimeoutMilliseconds = 1_000
        if follows {
            options.modeRule = ModeMachine.Rule(
                mayEnter: true, afterMilliseconds: 1_000, lateMilliseconds: 300, pauseMilliseconds: 200)
        }
        return options
    }

    /// Begins the mode by hand, for a process whose thread does not follow it.
    private func enter(_ bench: Bench) throws {
        try bench.ledger.enterDatabaseMode(after: try bench.ledger.mode().change, by: "test")
        _ = bench.mode.refresh()
        #expect(bench.mode.side == .ledger)
    }

    private func leave(_ bench: Bench) throws {
        try bench.ledger.leaveDatabaseMode(
            after: try bench.ledger.mode().change, by: "test", healthyMilliseconds: 0)
        _ = bench.mode.refresh()
        #expect(bench.mode.side == .image)
    }

    private func expectMode(_ bench: Bench, isDatabase: Bool) {
        let side = isDatabase ? ReserveSide.ledger : .image
        #expect(Eventually.holds { bench.mode.side == side })
    }

    /// Both sides of the books agree, after an image was made.
    private func expectExact(_ bench: Bench, _ tenant: TenantID) throws {
        #expect(bench.retries.drain(until: .after(seconds: 30)))
        let isBack = Eventually.holds {
            guard let hold = try? bench.reserve(tenant, 0) else { return false }
            bench.void(hold)
            return true
        }
        #expect(isBack)
        // Whoever ended a row before it had heard that images are in use again has left its hold to the sweeper.
        try bench.sweep()
        try bench.expectExactBooks(tenant)
        let step = try bench.reconciler().compare([tenant])
        #expect(step.tenants.count == 1 && step.tenants.allSatisfy { $0.isExact })
    }

    @Test func `when Redis dies under load, the ledger reserves soon after and nothing is overspent`() throws
    {
        let bench = try Bench(Self.options())
        let tenants = [
            try bench.makeTenant("rich", balance: 100_000_000), try bench.makeTenant("poor", balance: 3_000),
        ]
        let isOver = Atomic(false)
        let killer = try Concurrently.begin(1) { _ in
            _ = Signal().wait(until: .after(milliseconds: 300))
            bench.server.server.stop(isImmediate: true)
            expectMode(bench, isDatabase: true)
            _ = Signal().wait(until: .after(milliseconds: 1_000))
            isOver.store(true, ordering: .releasing)
        }
        let counts = try Concurrently.run(8) { index in
            var counts = (inRedis: 0, inLedger: 0, unavailable: 0)
            while !isOver.load(ordering: .acquiring) {
                do throws(SettlementError) {
                    let hold = try bench.engine.reserve(bench.order(tenants[index % 2], 100))
                    if hold.held.rseq == 0 { counts.inLedger += 1 } else { counts.inRedis += 1 }
                    let settlement = bench.committed(hold, 30)
                    _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
                } catch .unavailable {
                    counts.unavailable += 1
                    _ = Signal().wait(until: .after(milliseconds: 5))
                } catch .refused(let refusal) {
                    #expect(refusal.limit == .balance)
                    _ = Signal().wait(until: .after(milliseconds: 5))
                }
            }
            return counts
        }
        _ = try killer.wait()
        #expect(counts.reduce(0) { $0 + $1.inRedis } > 0 && counts.reduce(0) { $0 + $1.inLedger } > 0)
        #expect(counts.reduce(0) { $0 + $1.unavailable } > 0, "nothing is reserved before Redis is given up")
        expectMode(bench, isDatabase: true)
        try bench.server.server.start()
        expectMode(bench, isDatabase: false)
        for tenant in tenants {
            try expectExact(bench, tenant)
            let books = try bench.books(tenant)
            #expect(books.ledger.charged <= books.ledger.credited && books.ledger.pending == 0)
            #expect(books.image?.dailyUsed == books.ledger.committed)
        }
    }

    @Test func `of reservations at once exactly as many are admitted as the balance pays for`() throws {
        let bench = try Bench(Self.options(follows: false))
        let other = try bench.sibling(Self.options("other", follows: false))
        let tenant = try bench.makeTenant(balance: 1_050)
        // Taken in the image, and as good in the ledger.
        let held = try bench.reserve(tenant, 50)
        try enter(bench)
        try enter(other)
        for name in [tenant.description] + (0..<8).map({ "other-\($0)" }) {
            let payer = name == tenant.description ? tenant : try bench.makeTenant(name, balance: 1_000)
            let outcomes = try Concurrently.run(64) { index in
                let process = index % 2 == 0 ? bench : other
                return (try? process.reserve(payer, 100)) != nil
            }
            #expect(outcomes.count { $0 } == 10)
        }
        #expect(bench.refusal(tenant, 1)?.limit == .balance)
        #expect(try bench.books(tenant).ledger.balance == .zero)
        try leave(bench)
        try bench.settle(held, charge: 20)
        #expect(other.refusal(tenant, 31)?.balance == Money(nanodollars: 30))
        try expectExact(bench, tenant)
    }

    @Test func `a hold of an image is fenced when the ledger has reserved meanwhile`() throws {
        let bench = try Bench(Self.options(follows: false))
        let stale = try bench.sibling(Self.options("stale", follows: false))
        let tenant = try bench.makeTenant(balance: 100)
        try enter(bench)
        let hold = try bench.reserve(tenant, 60)
        // Its Redis answers and its image has 100: only the ledger's epoch says no, and then it obeys the mode.
        #expect(stale.mode.side == .image)
        #expect(try stale.quota.image(of: tenant)?.balance == Money(nanodollars: 100))
        #expect(stale.refusal(tenant, 41)?.balance == Money(nanodollars: 40))
        #expect(stale.mode.side == .ledger)
        let second = try stale.reserve(tenant, 40)
        #expect(hold.held.epoch == second.held.epoch)
        try bench.settle(hold, charge: 60)
        try stale.settle(second, charge: 40)
        try leave(bench)
        try expectExact(bench, tenant)
        #expect(try bench.books(tenant).ledger.charged == Money(nanodollars: 100))
    }

    @Test func `a process that has not heard that the mode was left is told by the ledger`() throws {
        let bench = try Bench(Self.options(follows: false))
        let stale = try bench.sibling(Self.options("stale", follows: false))
        let tenant = try bench.makeTenant(balance: 100)
        try enter(bench)
        try enter(stale)
        try bench.settle(try bench.reserve(tenant, 10), charge: 10)
        try leave(bench)
        let hold = try bench.reserve(tenant, 50)
        #expect(stale.refusal(tenant, 41)?.limit == .balance)
        #expect(stale.mode.side == .image)
        let second = try stale.reserve(tenant, 40)
        #expect(second.held.rseq > hold.held.rseq, "both are in the image")
        try bench.settle(hold, charge: 1)
        try stale.settle(second, charge: 2)
        try expectExact(bench, tenant)
    }

    @Test func `what Redis still has when it comes back is not used`() throws {
        let bench = try Bench(Self.options(follows: false))
        let tenant = try bench.makeTenant(balance: 1_000)
        let before = try bench.reserve(tenant, 100)
        let old = try #require(try bench.quota.image(of: tenant))
        try enter(bench)
        // Redis lives on with all that it had: ended holds, spent money and a credit that it has not heard of.
        try bench.settle(before, charge: 70)
        try bench.settle(try bench.reserve(tenant, 900), charge: 900)
        try bench.addCredit(500, to: tenant, "in the mode")
        #expect(try bench.quota.image(of: tenant) == old)
        try leave(bench)
        let hold = try bench.reserve(tenant, 530)
        #expect(hold.held.balanceAfter == .zero)
        #expect(bench.refusal(tenant, 1)?.limit == .balance)
        bench.void(hold)
        let new = try #require(try bench.quota.image(of: tenant))
        #expect(new.incarnation != old.incarnation && new.epoch > old.epoch)
        try expectExact(bench, tenant)
    }

    @Test func `a Redis that was restarted in the mode is not believed either`() throws {
        let bench = try Bench(Self.options())
        let tenant = try bench.makeTenant(balance: 1_000)
        bench.server.server.stop()
        expectMode(bench, isDatabase: true)
        try bench.settle(try bench.reserve(tenant, 950), charge: 950)
        // Its file has a balance of 1,000.
        try bench.server.server.start()
        expectMode(bench, isDatabase: false)
        let isRefused = Eventually.holds { bench.refusal(tenant, 51)?.balance == Money(nanodollars: 50) }
        #expect(isRefused)
        try expectExact(bench, tenant)
    }

    @Test func `the mode is not left while some process finds Redis lost`() throws {
        let bench = try Bench(Self.options("near", follows: false))
        var options = Self.options("far")
        options.redisPath = bench.server.server.directory + "/nobody"
        let far = try bench.sibling(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        // One process that does not reach Redis takes all others along.
        expectMode(far, isDatabase: true)
        #expect(bench.mode.refresh()?.owner == "far")
        try bench.settle(try bench.reserve(tenant, 100), charge: 10)
        try far.settle(try far.reserve(tenant, 100), charge: 10)
        let isNoted = try Eventually.holds {
            try bench.execute("SELECT redis_lost_at > since + interval '1 second' FROM quota_mode").bool(0, 0)
        }
        #expect(isNoted)
        let mode = try bench.ledger.mode()
        try bench.ledger.leaveDatabaseMode(after: mode.change, by: "near", healthyMilliseconds: 30_000)
        #expect(try bench.ledger.mode().isDatabase)
        try bench.ledger.leaveDatabaseMode(after: mode.change, by: "near", healthyMilliseconds: 0)
        #expect(try !bench.ledger.mode().isDatabase)
    }

    @Test func `the mode is left once`() throws {
        let bench = try Bench(Self.options("one"))
        let other = try bench.sibling(Self.options("other"))
        bench.server.server.stop()
        expectMode(bench, isDatabase: true)
        expectMode(other, isDatabase: true)
        try bench.server.server.start()
        expectMode(bench, isDatabase: false)
        expectMode(other, isDatabase: false)
        let mode = try bench.ledger.mode()
        #expect(mode.change == 2 && ["one", "other"].contains(mode.owner))
    }

    @Test func `a process that may not give Redis up refuses`() throws {
        var options = Self.options()
        options.modeRule?.mayEnter = false
        let bench = try Bench(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        bench.server.server.stop()
        _ = Signal().wait(until: .after(milliseconds: 2_000))
        #expect {
            try bench.reserve(tenant, 1)
        } throws: {
            if case SettlementError.unavailable = $0 { true } else { false }
        }
        let mode = try bench.ledger.mode()
        #expect(!mode.isDatabase && mode.change == 0)
    }
}
