import Core
import Foundation
import Gateway
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import TestSupport
import TestTools
import Testing
import Threads

/// Two processes of tollgated behind one socket: who they are, what they learn, what they count.
///
/// One after another: some cut what all of them hear by.
@Suite(.serialized) struct ProcessesTests {
    private let gateway: TestGateway
    private let processes: TestProcesses

    init() throws {
        gateway = try ProcessesGateway.shared()
        processes = try gateway.processes()
        try gateway.start()
    }

    private func sql(_ text: String) throws -> String {
        try gateway.stores.database.run(text)
    }

    /// What every process answers to a chat request, in their order.
    private func statuses(_ caller: EndpointsCaller, _ model: String = "sim-ok") -> [Int] {
        (0..<processes.count).map { number in
            processes.ask(
                number, "POST", "/v1/chat/completions", key: caller.key, body: EndpointsCaller.body(model)
            ).status
        }
    }

    /// Checks that every process answers so within a second; ten times that on a machine that is busy otherwise.
    private func expectSoon(
        _ status: Int, _ caller: EndpointsCaller, _ model: String = "sim-ok", seconds: Int = 10,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let began = Deadline.now
        var seen: [Int] = []
        let isSeen = Eventually.holds(seconds: seconds) {
            seen = statuses(caller, model)
            return seen.allSatisfy { $0 == status }
        }
        #expect(isSeen, "\(seen)", sourceLocation: sourceLocation)
        print("seen by all after \(began.elapsedNanoseconds / 1_000_000) ms")
    }

    // MARK: - Money that both want

    @Test func `a request that waits in one process is served when the other has settled`() throws {
        let members = #""max_tokens":16"#
        let body = EndpointsCaller.body("sim-hold", members)
        let hold = Int64(body.utf8.count) * 10_000 + 16 * 30_000
        // Four words and sixteen pieces cost 0.00052: enough for both, but not at the same time.
        let balance = Money(nanodollars: hold + 520_000)
        let caller = try EndpointsCaller("both", at: gateway, balance: balance.description)
        let ask = { @Sendable [processes] (number: Int) in
            processes.ask(number, "POST", "/v1/chat/completions", key: caller.key, body: body).status
        }
        let redis = gateway.stores.money.redis
        let hearing = try Eventually.holds {
            try redis.command(["PUBSUB", "NUMSUB", "gw:quota:settled"]).elements?.last?.integer == 2
        }
        #expect(hearing, "each process hears of settlements")
        let first = try Concurrently.begin(1) { _ in ask(0) }
        try gateway.waitForHeldCalls(1)
        let second = try Concurrently.begin(1) { _ in ask(1) }
        let hash = QuotaKeys(caller.tenant).tenant
        #expect(try Eventually.holds { try redis.command(["HGET", hash, "waiting"]).text == "1" })
        try gateway.releaseHeldCalls()
        #expect(try first.wait() == [200])
        try gateway.waitForHeldCalls(1)
        try gateway.releaseHeldCalls()
        #expect(try second.wait() == [200])
        try caller.expectBooks(charged: Money(nanodollars: 2 * 520_000))
    }

    // MARK: - Who they are

    @Test func `each process is somebody else to the ledger, and both know the same Redis`() throws {
        let caller = try EndpointsCaller("owners", at: gateway)
        #expect(statuses(caller) == [200, 200])
        let pids = (0..<processes.count).compactMap { processes[$0]?.pid }.map { "\($0)" }.joined(
            separator: ",")
        let owners = try sql(
            "SELECT count(*), count(DISTINCT owner), count(DISTINCT host) FROM owners WHERE pid IN (\(pids))")
        #expect(owners == "2|2|1\n")
        let rows = try sql(
            """
            SELECT count(*), count(DISTINCT b.owner), count(DISTINCT o.pid), count(DISTINCT b.epoch)
              FROM billing_transactions b JOIN owners o ON o.owner = b.owner WHERE tenant_id = '\(caller.tenant)'
            """)
        #expect(rows == "2|2|2|1\n")
        #expect(try sql("SELECT count(*) FROM redis_incarnations") == "1\n")
        try caller.expectExactCharges(requests: 2)
    }

    @Test func `both rebuild a lost image, and the one spends no money twice`() throws {
        let caller = try EndpointsCaller("rebuilt", at: gateway)
        #expect(statuses(caller) == [200, 200])
        for _ in 0..<3 {
            _ = try gateway.stores.money.redis.command(["FLUSHALL"])
            let answers = try Concurrently.run(16) { [processes, caller] index in
                processes.ask(
                    index % 2, "POST", "/v1/chat/completions", key: caller.key,
                    body: EndpointsCaller.body("sim-ok")
                ).status
            }
            #expect(answers.allSatisfy { $0 == 200 || $0 == 503 } && answers.contains(200), "\(answers)")
        }
        let books = try gateway.stores.books(caller.tenant)
        #expect(books.ledger.pending == 0)
        try gateway.stores.expectExactBooks(caller.tenant)
    }

    // MARK: - What they learn

    @Test func `a new key, and a revoked one, are known to all within a second`() throws {
        let caller = try EndpointsCaller("keys", at: gateway)
        expectSoon(200, caller)
        let id = try #require(caller.key.split(separator: "_").dropFirst().first)
        #expect(try gateway.command("key", "revoke", String(id)).status == 0)
        expectSoon(401, caller)
    }

    @Test func `a new model, its price, another price and its removal are known to all within a second`()
        throws
    {
        let caller = try EndpointsCaller("models", at: gateway)
        #expect(statuses(caller, "sim-new") == [404, 404])
        let added = try gateway.command(
            "model", "add", "sim-new", "--provider", "simulator", "--upstream-model", "sim-ok")
        #expect(added.status == 0, "\(added.output)")
        #expect(try gateway.command("price", "set", "sim-new", "--input", "1", "--output", "1").status == 0)
        expectSoon(200, caller, "sim-new")
        let charges = try prices(caller, "sim-new")
        #expect(try gateway.command("price", "set", "sim-new", "--input", "3", "--output", "3").status == 0)
        let isDearer = try Eventually.holds(seconds: 10) {
            try prices(caller, "sim-new") == charges.map { $0 + $0 + $0 }
        }
        #expect(isDearer)
        #expect(try gateway.command("model", "remove", "sim-new").status == 0)
        expectSoon(404, caller, "sim-new")
    }

    /// What a request costs at each process.
    private func prices(_ caller: EndpointsCaller, _ model: String) throws -> [Money] {
        try (0..<processes.count).map { number in
            let answer = processes.ask(
                number, "POST", "/v1/chat/completions", key: caller.key, body: EndpointsCaller.body(model))
            return try #require(answer.headers["x-tollgate-cost"].flatMap { Money(decimal: $0) }, "\(answer)")
        }
    }

    @Test func `what changed while nobody could listen is seen as soon as they listen again`() throws {
        let caller = try EndpointsCaller("cut", at: gateway)
        expectSoon(200, caller)
        let id = try #require(caller.key.split(separator: "_").dropFirst().first)
        let database = gateway.stores.database.name
        // The listeners are cut and cannot come back; what the others have stays.
        _ = try sql("ALTER DATABASE \(database) CONNECTION LIMIT 0")
        let cut = try sql(
            """
            SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE application_name = 'tollgated-listener' AND datname = current_database()
            """)
        #expect(cut == "2\n")
        _ = try sql("UPDATE api_keys SET revoked_at = now() WHERE id = '\(id)'")
        // Nobody can have told them.
        #expect(statuses(caller) == [200, 200])
        _ = try sql("ALTER DATABASE \(database) CONNECTION LIMIT -1")
        // The listeners try again each 5 seconds at the latest; a key is believed for 30.
        expectSoon(401, caller, seconds: 15)
    }

    @Test func `what is not announced at all is seen after the reload's time`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_RELOAD_SECONDS": "2"])
        let caller = try EndpointsCaller("unannounced", at: gateway)
        #expect(try caller.chat("sim-ok").status == 200)
        #expect(try caller.chat("sim-cached").status == 200)
        let id = try #require(caller.key.split(separator: "_").dropFirst().first)
        // A replica's session runs no triggers, hence tells nobody.
        try gateway.stores.database.run(
            """
            SET session_replication_role = replica;
            UPDATE provider_models SET model = 'sim-renamed' WHERE model = 'sim-cached'
            """)
        // The catalogue is read by all, a key by itself.
        #expect(try Eventually.holds { try caller.chat("sim-cached").status == 404 })
        #expect(try caller.chat("sim-ok").status == 200)
        try gateway.stores.database.run(
            """
            SET session_replication_role = replica;
            UPDATE api_keys SET revoked_at = now() WHERE id = '\(id)'
            """)
        #expect(try Eventually.holds { try caller.chat("sim-ok").status == 401 })
    }

    // MARK: - What they count

    private func figures(_ number: Int) -> [Substring: Double] {
        let lines = processes.ask(number, "GET", "/metrics", listener: "admin").body.split(separator: "\n")
            .filter { !$0.hasPrefix("#") }
        return Dictionary(
            lines.compactMap { line in
                line.lastIndex(of: " ").map { (line[..<$0], Double(line[$0...].dropFirst()) ?? -1) }
            }, uniquingKeysWith: { first, _ in first })
    }

    private let requests: Substring = #"tollgate_requests_total{status="200",kind="plain",code=""}"#
    private let steps: Substring = #"tollgate_step_seconds_count{step="billing"}"#

    @Test func `a request needs two trips to Redis and two commits, and no more`() throws {
        let caller = try EndpointsCaller("trips", at: gateway)
        func counts() -> (redis: Double, commits: Double, writes: Double) {
            let told = figures(0)
            return (
                told[#"tollgate_store_seconds_count{store="redis"}"#] ?? 0,
                told[#"tollgate_store_seconds_count{store="postgresql"}"#] ?? 0,
                told["tollgate_redis_writes_total"] ?? 0
            )
        }
        // The first one loads the tenant.
        #expect(statuses(caller) == [200, 200])
        usleep(1_500_000)
        let before = counts()
        let began = Deadline.now
        for _ in 0..<10 { #expect(statuses(caller) == [200, 200]) }
        usleep(1_500_000)
        let after = counts()
        #expect(after.redis - before.redis == 40 && after.commits - before.commits == 40)
        // Once a second each process also tells which tenants have changed, and looks after Redis.
        let seconds = Double(began.elapsedNanoseconds) / 1e9 + 1
        #expect(after.writes - before.writes <= 40 + 6 * seconds, "\(after) after \(before)")
    }

    @Test func `whichever process is asked tells the metrics of all, and a kill takes none of them back`()
        throws
    {
        let caller = try EndpointsCaller("metrics", at: gateway)
        let before = figures(0)
        for _ in 0..<5 { #expect(statuses(caller) == [200, 200]) }
        let expected = (before[requests] ?? 0) + 10
        for number in [0, 1] {
            #expect(Eventually.holds(seconds: 10) { figures(number)[requests] == expected })
            #expect(figures(number)["tollgate_processes"] == 2)
        }
        let told = figures(1)
        #expect(told[steps] == (before[steps] ?? 0) + 10)

        processes.kill(1)
        let left = figures(0)
        #expect(left["tollgate_processes"] == 1)
        for (name, value) in told where name.contains("_total") || name.contains("_bucket") {
            #expect((left[name] ?? -1) >= value, "\(name) went back")
        }
        #expect(left[requests] == expected)
        try processes.start()
        for number in [0, 1] {
            #expect(Eventually.holds(seconds: 10) { figures(number)["tollgate_processes"] == 2 })
            #expect(figures(number)[requests] == expected)
        }
    }
}

/// The gateway of two processes that tests of them share.
private enum ProcessesGateway {
    private static let current = Locked<TestGateway?>(nil)

    static func shared() throws -> TestGateway {
        try current.withLock { current in
            if let current { return current }
            let gateway = try TestGateway(processes: 2)
            current = gateway
            atexit { ProcessesGateway.current.withLock { $0 = nil } }
            return gateway
        }
    }
}
