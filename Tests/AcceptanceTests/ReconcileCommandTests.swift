import Core
import Foundation
import Gateway
import Ledger
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import Testing
import Threads

/// `tollgate reconcile`, `transactions show` and the jobs that look at the books, as an operator and a timer run them.
@Suite struct ReconcileCommandTests {
    private func run(
        _ stores: TestStores, _ arguments: String..., environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String) {
        try TestCommand.run(
            arguments, environment: stores.environment.merging(environment) { $1 })
    }

    private func json(_ output: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }

    /// A request that runs.
    private func reserve(_ stores: TestStores, _ tenant: TenantID, _ amount: Int64) throws -> Hold {
        let trace = TraceID(
            unixMilliseconds: WallClock.unixMilliseconds,
            random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
        return try stores.money.settlement.reserve(
            ReserveOrder(
                tenant: tenant, trace: trace, key: nil, amount: Money(nanodollars: amount),
                period: TestStores.period, deadlineMilliseconds: 60_000, capability: "chat", model: "m",
                isStream: false))
    }

    private func change(_ stores: TestStores, _ words: String...) throws {
        _ = try stores.money.redis.command(words)
    }

    @Test func `2.3 the check is silent about right books, and names a tenant that drifts by a nano-dollar`()
        throws
    {
        let stores = try TestStores()
        let directory = try TemporaryDirectory()
        let runtime = ["RUNTIME_DIRECTORY": directory.path]
        let (right, wrong) = (
            try stores.makeTenant("right", balance: "3"), try stores.makeTenant("wrong", balance: "4")
        )
        for tenant in [right, wrong] { _ = try reserve(stores, tenant, 500) }
        let exact = try run(stores, "job", "consistency", environment: runtime)
        #expect(exact.status == 0, "\(exact.output)")
        #expect(exact.output.hasPrefix("consistency: exact, drift $0.000000000 of 0 tenants"))
        let path = directory.path + "/consistency.job"
        #expect(try String(contentsOfFile: path, encoding: .utf8).contains("tollgate_ledger_problems 0\n"))

        try change(stores, "HINCRBY", QuotaKeys(wrong).tenant, "balance", "-1")
        let tried = try run(stores, "job", "consistency", "--dry-run", environment: runtime)
        #expect(tried.status == 1 && tried.output.contains("wrong: Redis has $0.000000001 too little"))
        #expect(try String(contentsOfFile: path, encoding: .utf8).contains("tollgate_ledger_problems 0\n"))
        let found = try run(stores, "job", "consistency", "--json", environment: runtime)
        let object = try json(found.output)
        #expect(found.status == 1 && object["drift"] as? String == "0.000000001")
        #expect((object["data"] as? [[String: Any]])?.map { $0["tenant"] as? String } == ["wrong"])
        let told = try String(contentsOfFile: path, encoding: .utf8)
        #expect(told.contains("tollgate_ledger_drift_nanodollars{tenant=\"wrong\"} -1\n"))
        #expect(!told.contains("tenant=\"right\"") && told.contains("tollgate_holds_oldest_seconds "))
        #expect(try run(stores, "job", "consistency", "--tenant", "right").status == 0)
        #expect(try run(stores, "job", "consistency", "--tenant", "wrong").status == 1)
        #expect(try run(stores, "job", "consistency", "--tenant", "nobody").status == 3)

        let listed = try run(stores, "reconcile")
        #expect(listed.status == 1 && listed.output.contains("1 of 2 tenants differ, 0 not loaded"))
        try change(stores, "HINCRBY", QuotaKeys(wrong).tenant, "balance", "1")
        #expect(try run(stores, "reconcile").status == 0)
    }

    @Test func `a difference is explained by the rows behind it`() throws {
        let stores = try TestStores()
        let tenant = try stores.makeTenant("acme", balance: "3")
        let lost = try reserve(stores, tenant, 500)
        _ = try reserve(stores, tenant, 600)
        let exact = try run(stores, "reconcile", "--explain", "acme")
        #expect(exact.status == 0 && exact.output.contains("Drift: $0.000000000"))
        #expect(exact.output.contains("$2.999998900") && exact.output.contains("$0.000001100 in 2 holds"))

        try change(stores, "HDEL", QuotaKeys(tenant).holds, lost.trace.description)
        let pending = try run(stores, "reconcile", "--explain", "acme")
        #expect(pending.status == 1)
        #expect(
            pending.output.contains(
                "transaction \(lost.trace) is pending with $0.000000500, and Redis does not hold it"))
        var settlement = RowSettlement(tenant: tenant, trace: lost.trace, status: .committed)
        settlement.charge = Money(nanodollars: 120)
        _ = try stores.money.settlement.settle(lost, settlement, otherwise: settlement)
        let settled = try run(stores, "reconcile", "--explain", "acme", "--json")
        let object = try json(settled.output)
        #expect(settled.status == 1 && object["drift"] as? String == "-0.000000380")
        let findings = try #require(object["findings"] as? [String])
        #expect(
            findings == [
                "as large: the hold less charge of transaction \(lost.trace), committed, hold $0.000000500, "
                    + "charge $0.000000120"
            ])
        try change(stores, "HINCRBY", QuotaKeys(tenant).tenant, "balance", "7")
        let byHand = try run(stores, "reconcile", "--explain", "acme")
        #expect(byHand.output.contains("no single row is as large"))
        #expect(try run(stores, "reconcile", "--explain", "nobody").status == 3)
        try change(stores, "DEL", QuotaKeys(tenant).tenant, QuotaKeys(tenant).holds)
        let cold = try run(stores, "reconcile", "--explain", "acme")
        #expect(cold.status == 0 && cold.output.contains("no image"))
    }

    @Test func `what is only on its way is said, and is no difference`() throws {
        let stores = try TestStores()
        let tenant = try stores.makeTenant("acme", balance: "3")
        let ended = try reserve(stores, tenant, 500)
        let row = RowSettlement(tenant: tenant, trace: ended.trace, status: .voided)
        _ = stores.money.writer.write([.settlement(row)])
        _ = try stores.money.ledger.addCredit(
            Money(nanodollars: 9), to: tenant, kind: "topup", externalID: "late")
        let outcome = try run(stores, "reconcile", "--explain", "acme")
        #expect(outcome.status == 0)
        #expect(
            outcome.output.contains(
                "hold \(ended.trace) of $0.000000500 is to be settled: voided, charge $0.000000000"))
        #expect(outcome.output.contains("credit 2 of $0.000000009 (late) is on its way to Redis"))
    }

    @Test func `each job says in one line what it did`() throws {
        let stores = try TestStores()
        let tenant = try stores.makeTenant("acme", balance: "3")
        _ = try reserve(stores, tenant, 500)
        for (job, start) in [
            ("rollup", "rollup: 0 transactions in 0 steps, all up to 20"),
            (
                "prune",
                "prune: 0 partitions made; 0 checkpoints, 0 owners, 0 incarnations, 0 idempotency keys, 0 warnings removed\n"
            ),
            ("outbox", "outbox: 0 done, 0 failed, 0 given up, 0 untried; 0 due, 0 open, 0 dead\n"),
            ("quota-sync", "quota-sync: "), ("apikey-sync", "apikey-sync: 0 success, 0 failure, "),
            ("sweep", "sweep: "), ("consistency", "consistency: exact"),
        ] {
            let outcome = try run(stores, "job", job)
            #expect(outcome.status == 0 && outcome.output.hasPrefix(start), "\(job): \(outcome.output)")
            #expect(outcome.output.split(separator: "\n").count == 1, "\(job): \(outcome.output)")
        }
        let all = try run(stores, "job", "quota-sync", "--all", "--json")
        #expect(try json(all.output)["success"] as? Int == 1)
        #expect(try run(stores, "job", "rollup", "--behind-minutes", "0").status == 64)
    }

    @Test(arguments: ["rollup", "prune", "quota-sync", "apikey-sync", "consistency"])
    func `of one job only one runs at a time`(job: String) throws {
        let stores = try TestStores()
        let outcome = try stores.money.ledger.withJobLock(job) { try run(stores, "job", job) }
        #expect(outcome?.status == 0)
        #expect(outcome?.output == "\(job): another process runs it; nothing to do\n")
    }

    @Test func `a charge is multiplied out line by line`() throws {
        let gateway = try EndpointsGateway.shared()
        let caller = try EndpointsCaller("cli-show", at: gateway)
        let answer = try gateway.chat(ChatOrder(), key: caller.key)
        #expect(answer.status == 200)
        let row = try #require(try caller.rows().first)
        let shown = try run(gateway.stores, "transactions", "show", row.trace, "--json")
        let list = try json(shown.output)["data"] as? [[String: Any]]
        let object = try #require(list?.first)
        #expect(shown.status == 0 && object["charge"] as? String == row.charge.description)
        let usage = try #require(object["usage"] as? [[String: Any]])
        let amounts = try usage.map { bucket in
            let (tokens, price) = (bucket["tokens"] as? Int, bucket["price_per_million"] as? String)
            let rate = try #require(price.flatMap { Money(decimal: $0) })
            let amount = try #require((bucket["amount"] as? String)?.filter { $0 != "." })
            #expect(try Int64(amount) == Int64(#require(tokens)) * rate.nanodollars)
            return try #require(Int64(amount))
        }
        let flat = try #require((object["per_request"] as? String).flatMap { Money(decimal: $0) })
        let cost = (amounts.reduce(0, +) + 500_000) / 1_000_000 + flat.nanodollars
        #expect(cost == row.charge.nanodollars && usage.count >= 2)
        let text = try run(gateway.stores, "transactions", "show", row.trace)
        #expect(text.output.contains("charge: $\(row.charge); given back: $\(row.hold - row.charge)"))
        #expect(text.output.contains("not held") && !text.output.contains("Optional("))
        let unknown = TraceID(lowestAtUnixMilliseconds: 1).description
        #expect(try run(gateway.stores, "transactions", "show", unknown).status == 3)
        #expect(try run(gateway.stores, "transactions", "show", "x").status == 64)
    }
}
