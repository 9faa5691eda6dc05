import Core
import Ledger
import Postgres
import PrivateServers
import Quota
import Settlement
import Tenancy
import TestSupport
import TestTools
import Testing
import Threads

/// What a reservation in the ledger counts, and how its failures end.
@Suite struct LedgerReserveTests {
    private func bench(_ options: SettlementBench.Options = .init()) throws -> SettlementBench {
        let bench = try SettlementBench(options)
        try bench.ledger.enterDatabaseMode(after: 0, by: "test")
        _ = bench.mode.refresh()
        return bench
    }

    @Test func `quotas of the day and of the month count what images have let in`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000, dailyQuota: 3)
        try bench.settle(try bench.reserve(tenant, 10), charge: 1)
        bench.void(try bench.reserve(tenant, 10))
        _ = try bench.reserve(tenant, 10)
        try bench.ledger.enterDatabaseMode(after: 0, by: "test")
        _ = bench.mode.refresh()
        let hold = try bench.reserve(tenant, 10)
        #expect(hold.held.dailyUsed == 3 && hold.held.monthlyUsed == 3 && hold.held.dailyQuota == 3)
        let refusal = try #require(bench.refusal(tenant, 10))
        #expect(refusal.limit == .dailyQuota && refusal.limitValue == 3 && refusal.used == 3)
        #expect(refusal.reset == .day)
        bench.void(hold)
        _ = try bench.reserve(tenant, 10)
    }

    @Test func `a budget is never passed`() throws {
        let bench = try bench()
        let tenant = try bench.makeTenant(balance: 100_000)
        let key = try bench.makeKey(tenant, budget: 1_000, .day)
        let admitted = try Concurrently.run(40) { _ in
            let order = bench.order(tenant, 70, key: key, hasBudget: true, limitsVersion: 2)
            return (try? bench.engine.reserve(order)) != nil
        }
        #expect(admitted.count { $0 } == 14)
        let refusal = bench.refusal(bench.order(tenant, 21, key: key))
        #expect(refusal?.limit == .budget && refusal?.used == 980 && refusal?.reset == .day)
        #expect(
            try bench.engine.reserve(bench.order(tenant, 20, key: key)).held.budget?.used
                == Money(nanodollars: 1_000))
    }

    @Test func `limits of a minute and of requests at once count rows`() throws {
        let bench = try bench()
        let tenant = try bench.makeTenant(balance: 100_000, tokensPerMinute: 100)
        let isEarly = try Eventually.holds {
            try bench.execute("SELECT extract(second FROM clock_timestamp())::bigint").int(0, 0) < 45
        }
        #expect(isEarly)
        let first = try bench.engine.reserve(bench.order(tenant, 1, tokens: 60))
        let refusal = try #require(bench.refusal(bench.order(tenant, 1, tokens: 41)))
        #expect(refusal.limit == .tokensPerMinute && refusal.used == 60 && refusal.limitValue == 100)
        var settlement = bench.committed(first, 1)
        settlement.usage = Usage(input: 10, output: 5)
        _ = try bench.engine.settle(first, settlement, otherwise: settlement)
        let second = try bench.engine.reserve(bench.order(tenant, 1, tokens: 80))
        #expect(second.held.minute?.tokens == 95 && second.held.minute?.requests == 2)
        var change = TenantChange()
        change.concurrency = .to(1)
        change.tokensPerMinute = LimitChange.none
        change.requestsPerMinute = .to(3)
        _ = try TenantRegister(database: bench.database).set(tenant, change)
        #expect(bench.refusal(tenant, 1)?.limit == .concurrency)
        bench.void(second)
        bench.void(try bench.reserve(tenant, 1))
        #expect(bench.refusal(tenant, 1)?.limit == .requestsPerMinute)
    }

    @Test func `a request waits for holds of the ledger as for those of an image`() throws {
        var options = SettlementBench.Options()
        options.settleWait = SettleWait(milliseconds: 20_000, waitersMax: 10)
        let bench = try bench(options)
        let tenant = try bench.makeTenant(balance: 100)
        let hold = try bench.reserve(tenant, 80)
        let waiting = try Concurrently.begin(1) { _ in try bench.reserve(tenant, 50) }
        #expect(Eventually.holds { bench.engine.waitingCount == 1 })
        try bench.settle(hold, charge: 50)
        #expect(try waiting.wait()[0].held.balanceAfter == .zero)
    }

    @Test func `a batch with a row that is refused takes the others`() throws {
        let bench = try bench()
        let tenant = try bench.makeTenant(balance: 1_000)
        _ = try bench.execute(
            "UPDATE job_watermarks SET trace_id = trace_id_floor(now() - interval '1 hour') WHERE job = 'fence'"
        )
        let old = TraceID(lowestAtUnixMilliseconds: WallClock.unixMilliseconds - 7_200_000)
        // Somebody else's lock gathers all orders into one batch.
        let lock = try bench.owner.begin()
        _ = try lock.execute(sql: "SELECT FROM tenant_epoch FOR UPDATE")
        let outcomes = try Concurrently.begin(9) { index in
            (try? bench.reserve(tenant, 10, trace: index == 4 ? old : .fresh())) != nil
        }
        _ = Signal().wait(until: .after(milliseconds: 300))
        lock.rollBack()
        #expect(try outcomes.wait().count { $0 } == 8)
        #expect(try bench.books(tenant).ledger.held == Money(nanodollars: 80))
    }

    @Test func `a trace that stands is taken once`() throws {
        let bench = try bench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let hold = try bench.reserve(tenant, 100)
        #expect {
            try bench.reserve(tenant, 200, trace: hold.trace)
        } throws: {
            if case SettlementError.conflict = $0 { true } else { false }
        }
        #expect(try bench.books(tenant).ledger.held == Money(nanodollars: 100))
    }

    @Test func `holds are raised as far as there is money`() throws {
        let bench = try bench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let holds = try (0..<8).map { _ in try bench.reserve(tenant, 100) }
        let raised = try Concurrently.run(8) { index -> Int64 in
            guard
                case .extended(let raised) = bench.engine.extend(
                    holds[index], to: Money(nanodollars: 150))
            else { return 100 }
            return raised.amount.nanodollars
        }
        #expect(raised.reduce(0, +) == 1_000 && raised.count { $0 == 150 } == 4)
        #expect(try bench.books(tenant).ledger.balance == .zero)
        bench.void(holds[0])
        guard case .overruled = bench.engine.extend(holds[0], to: Money(nanodollars: 999)) else {
            Issue.record("an ended row is not raised")
            return
        }
        try bench.ledger.leaveDatabaseMode(after: 1, by: "test", healthyMilliseconds: 0)
        // From now on the image says, which is made of the rows.
        guard case .extended(let last) = bench.engine.extend(holds[1], to: Money(nanodollars: 999)) else {
            Issue.record("not raised in Redis")
            return
        }
        let before = raised[0] + raised[1]
        #expect(last.amount == Money(nanodollars: before))
        try bench.expectExactBooks(tenant)
    }

    private func claimed(_ tenant: TenantID, _ claim: IdempotencyClaim) -> ReserveOrder {
        ReserveOrder(
            tenant: tenant, trace: .fresh(), key: APIKeyID("key1"), amount: Money(nanodollars: 10),
            period: SettlementBench.period, deadlineMilliseconds: 60_000, capability: "chat", model: "m",
            isStream: false, claim: claim)
    }

    @Test func `an idempotency key is claimed in the ledger, too`() throws {
        let bench = try bench()
        let other = try bench.sibling(SettlementBench.Options())
        _ = other.mode.refresh()
        let tenant = try bench.makeTenant(balance: 1_000)
        let claim = IdempotencyClaim(key: "again", bodyHash: Array(repeating: 1, count: 32))
        let outcomes = try Concurrently.run(12) { index -> String in
            do throws(SettlementError) {
                _ = try (index % 2 == 0 ? bench : other).engine.reserve(claimed(tenant, claim))
                return "held"
            } catch {
                guard case .keyInUse = error else { return "\(error)" }
                return "in use"
            }
        }
        #expect(
            outcomes.count { $0 == "held" } == 1 && outcomes.count { $0 == "in use" } == 11, "\(outcomes)")
        #expect(try bench.books(tenant).ledger.held == Money(nanodollars: 10))
    }

    @Test func `a stranger has no money`() throws {
        let bench = try bench()
        let stranger = try #require(TenantID("stranger"))
        #expect {
            try bench.reserve(stranger, 0)
        } throws: {
            if case SettlementError.unknownTenant = $0 { true } else { false }
        }
    }

    @Test func `without PostgreSQL nothing is reserved, and what may have been is given back`() throws {
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let bench = try SettlementBench(SettlementBench.Options(), postgres: postgres)
        try bench.ledger.enterDatabaseMode(after: 0, by: "test")
        _ = bench.mode.refresh()
        let tenant = try bench.makeTenant(balance: 1_000)
        bench.void(try bench.reserve(tenant, 1))
        try postgres.waitForStandby(true)
        let reserving = try Concurrently.begin(4) { _ in (try? bench.reserve(tenant, 100)) != nil }
        let isCommitting = try Eventually.holds {
            try postgres.run(sql: "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                == "1\n"
        }
        #expect(isCommitting)
        _ = try postgres.run(sql: "ALTER SYSTEM RESET synchronous_standby_names")
        postgres.stop(isImmediate: true)
        #expect(try reserving.wait() == [false, false, false, false])
        try postgres.start()
        #expect(bench.retries.drain(until: .after(seconds: 30)))
        #expect(try bench.books(tenant).ledger.pending == 0)
        let isBack = Eventually.holds { (try? bench.reserve(tenant, 1_000)) != nil }
        #expect(isBack)
    }
}
