import Core
import Foundation
import Gateway
import Ledger
import PrivateServers
import Redis
import TestSupport
import TestTools
import Testing

/// The public endpoints beside chat completions, and which server has which.
@Suite struct EndpointsTests {
    private let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    private struct Models: Decodable {
        struct Entry: Decodable {
            let id: String
            let object: String
            let created: Int64
            let owned_by: String
        }
        let object: String
        let data: [Entry]
    }

    // MARK: - Models

    @Test func `a key sees the models that it may call and that have a price`() throws {
        try EndpointsCatalog.add("never-priced", upstreamModel: "sim-ok", rates: nil, at: gateway)
        let names = ["sim-slow", "never-priced", "sim-ok", "not-there"]
        let caller = try EndpointsCaller("models", at: gateway, allowedModels: names)
        let answer = try TestHTTP.get(gateway.url + "/v1/models", key: caller.key)
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json")
        let models = try JSONDecoder().decode(Models.self, from: Data(answer.body.utf8))
        #expect(models.object == "list")
        #expect(models.data.map(\.id) == ["sim-ok", "sim-slow"])
        #expect(models.data.allSatisfy { $0.object == "model" && !$0.owned_by.isEmpty })
        let every = try EndpointsCaller("models", at: gateway)
        let all = try TestHTTP.get(gateway.url + "/v1/models", key: every.key)
        let listed = try JSONDecoder().decode(Models.self, from: Data(all.body.utf8)).data.map(\.id)
        #expect(Set(TestGateway.models).isSubset(of: listed))
        #expect(!listed.contains("never-priced"))
        #expect(listed == listed.sorted())
    }

    @Test func `a model is found by its name, unless the key may not call it`() throws {
        let caller = try EndpointsCaller("model", at: gateway, allowedModels: ["sim-ok"])
        let found = try TestHTTP.get(gateway.url + "/v1/models/sim-ok", key: caller.key)
        #expect(found.status == 200)
        let entry = try JSONDecoder().decode(Models.Entry.self, from: Data(found.body.utf8))
        #expect(entry.id == "sim-ok")
        #expect(entry.object == "model")
        for name in ["sim-slow", "not-there", "", "sim-ok%", "sim-ok%00", "%zz"] {
            let answer = try TestHTTP.get(gateway.url + "/v1/models/" + name, key: caller.key)
            #expect(answer.status == 404 || answer.status == 400, "\(name)")
            // A path that nginx cannot decode does not get past it.
            if answer.status == 404 {
                #expect(try EndpointsError(answer.body).code == "model_not_found", "\(name)")
            }
        }
    }

    @Test func `the names of models need a key`() throws {
        for path in ["/v1/models", "/v1/models/sim-ok"] {
            let answer = try TestHTTP.get(gateway.url + path)
            #expect(answer.status == 401)
            #expect(try EndpointsError(answer.body).code == "missing_api_key")
        }
    }

    @Test func `a request for a model without a price is refused, and no provider hears of it`() throws {
        let provider = try StreamingProvider()
        try EndpointsCatalog.addProvider("unpriced", port: provider.port, at: gateway)
        try EndpointsCatalog.add(
            "unpriced", provider: "unpriced", upstreamModel: "x", rates: nil, at: gateway)
        let caller = try EndpointsCaller("unpriced", at: gateway)
        let isKnown = try Eventually.holds {
            try EndpointsError(caller.chat("unpriced").body).code == "model_not_priced"
        }
        #expect(isKnown)
        #expect(!provider.isCalled)
        try caller.expectUntouched()
    }

    // MARK: - Health

    @Test func `both servers tell that the process lives and is ready`() throws {
        for url in [gateway.url, gateway.adminURL] {
            let health = try TestHTTP.get(url + "/healthz")
            #expect(health.status == 200)
            #expect(health.body == #"{"status":"ok"}"#)
            let ready = try TestHTTP.get(url + "/readyz")
            #expect(ready.status == 200)
            let checks =
                url == gateway.adminURL
                ? #","checks":{"postgresql":"ok","redis":"ok","quota_mode":"redis"}"# : ""
            #expect(ready.body == #"{"status":"ready""# + checks + "}")
        }
    }

    @Test func `a store that could lose money makes the gateway not ready, until it is well again`() throws {
        let own = try TestGateway()
        let redis = own.stores.money.redis
        _ = try redis.command(["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        try expectNotReady(own, "redis", "maxmemory-policy is not noeviction")
        _ = try redis.command(["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        #expect(try TestHTTP.get(own.url + "/readyz").status == 200)

        let server = try SharedServers.postgres()
        let database = own.stores.database.name
        // A setting of the database counts for connections made after it.
        let reconnect =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(database)' AND pid <> pg_backend_pid()"
        _ = try server.run(sql: "ALTER DATABASE \(database) SET synchronous_commit = off")
        _ = try server.run(sql: reconnect)
        try expectNotReady(own, "postgresql", "synchronous_commit is off")
        _ = try server.run(sql: "ALTER DATABASE \(database) RESET synchronous_commit")
        _ = try server.run(sql: reconnect)
        #expect(try Eventually.holds { try TestHTTP.get(own.url + "/readyz").status == 200 })

        _ = try server.run(
            sql: "INSERT INTO schema_migrations (version, name) VALUES (999, 'later')", database: database)
        try expectNotReady(own, "postgresql", "the schema is at version 999, this build needs")
        _ = try server.run(sql: "DELETE FROM schema_migrations WHERE version = 999", database: database)
        #expect(try TestHTTP.get(own.url + "/readyz").status == 200)
        try expectRecovery(own)
    }

    /// Stops Redis and starts it again.
    private func expectRecovery(_ own: TestGateway) throws {
        let caller = try EndpointsCaller("ready", at: own)
        own.stores.redis.server.stop()
        try expectNotReady(own, "redis", "Redis cannot be reached")
        #expect(try TestHTTP.get(own.url + "/healthz").status == 200)
        let refused = try caller.chat("sim-ok")
        #expect(refused.status == 503)
        #expect(refused.headers["retry-after"] != nil)
        #expect(try EndpointsError(refused.body).code == "service_unavailable")
        try own.stores.redis.server.start()
        #expect(try Eventually.holds { try TestHTTP.get(own.url + "/readyz").status == 200 })
        #expect(try caller.chat("sim-ok").status == 200)
        try caller.expectExactCharges(requests: 1)
    }

    /// Checks that one store is said to have this problem, and the other none.
    private func expectNotReady(
        _ gateway: TestGateway, _ store: String, _ problem: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var body = ""
        let isTold = try Eventually.holds {
            let answer = try TestHTTP.get(gateway.adminURL + "/readyz")
            body = answer.body
            return answer.status == 503 && body.contains(problem)
        }
        #expect(isTold, "\(body)", sourceLocation: sourceLocation)
        let object = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
        #expect(object?["status"] as? String == "not ready", sourceLocation: sourceLocation)
        let checks = try #require(object?["checks"] as? [String: String], sourceLocation: sourceLocation)
        #expect(
            checks.keys.sorted() == ["postgresql", "quota_mode", "redis"], sourceLocation: sourceLocation)
        for (name, outcome) in checks where name != store {
            #expect(outcome == (name == "quota_mode" ? "redis" : "ok"), sourceLocation: sourceLocation)
        }
        // What is wrong is not everybody's business.
        let open = try TestHTTP.get(gateway.url + "/readyz")
        #expect(open.status == 503, sourceLocation: sourceLocation)
        #expect(open.body == #"{"status":"not ready"}"#, sourceLocation: sourceLocation)
    }

    @Test func `stores that could lose money stop the start`() throws {
        let stores = try TestStores(redisSettings: ["maxmemory-policy": "volatile-lru"])
        try expectNoStart(stores, "cannot start: Redis: maxmemory-policy is not noeviction")
        let server = try SharedServers.postgres()
        _ = try server.run(sql: "ALTER DATABASE \(stores.database.name) SET synchronous_commit = off")
        try expectNoStart(stores, "synchronous_commit is off")
    }

    @Test func `a Redis without an append-only file is warned of, or refused where that is asked for`() throws
    {
        let own = try TestGateway(redisSettings: ["appendonly": "no"])
        #expect(try TestHTTP.get(own.url + "/readyz").status == 200)
        let log = try String(contentsOfFile: own.tollgatedLogPath, encoding: .utf8)
        #expect(log.contains("Redis: appendonly is no"))
        try expectNoStart(
            own.stores, "cannot start: Redis: appendonly is no", ["TOLLGATE_REDIS_AOF": "require"])
    }

    /// Starts tollgated and checks that it gives up, and why.
    private func expectNoStart(
        _ stores: TestStores, _ reason: String, _ more: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let directory = try TemporaryDirectory()
        var environment = stores.environment.merging(more) { $1 }
        environment["TOLLGATE_SOCKET"] = directory.path + "/tollgated.sock"
        let outcome = try TestCommand.run(
            [TestGateway.programs + "/tollgated"], environment, seconds: 20)
        #expect(outcome.status == 1, sourceLocation: sourceLocation)
        #expect(outcome.output.contains(reason), "\(outcome.output)", sourceLocation: sourceLocation)
    }

    // MARK: - Metrics

    @Test func `metrics are on the admin server only`() throws {
        let caller = try EndpointsCaller("metrics", at: gateway)
        #expect(try caller.chat("sim-ok").status == 200)
        let metrics = try TestHTTP.get(gateway.adminURL + "/metrics")
        #expect(metrics.status == 200)
        #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        let lines = metrics.body.split(separator: "\n").map { String($0) }
        #expect(lines.contains { $0.hasPrefix("tollgate_requests_total{") && $0.contains("kind=\"plain\"") })
        #expect(lines.contains { $0.hasPrefix("tollgate_workers ") })
        #expect(lines.contains { $0.hasPrefix("# TYPE tollgate_requests_total counter") })
        #expect(!metrics.body.contains(caller.key))
        let hidden = try TestHTTP.get(gateway.url + "/metrics")
        #expect(hidden.status == 404)
        #expect(try EndpointsError(hidden.body).code == "not_found")
        #expect(!hidden.body.contains("tollgate_requests_total"))
    }

    @Test func `every request is in one line of the log, and no secret is in any`() throws {
        let caller = try EndpointsCaller("log", at: gateway)
        let secret = "tg_QUERYSTRING_" + caller.key.suffix(20)
        #expect(try caller.chat("sim-ok").status == 200)
        let inQuery = try TestHTTP.post(
            gateway.url + "/v1/chat/completions?api_key=\(secret)", key: nil, EndpointsCaller.body("sim-ok"))
        #expect(inQuery.status == 401)
        let nginxOnly = try TestHTTP.get(gateway.url + "/nowhere?api_key=\(secret)")
        #expect(nginxOnly.status == 404)
        let trace = try caller.onlyRow().trace
        let log = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
        let lines = log.split(separator: "\n").filter { $0.contains("\"trace\":\"\(trace)\"") }
        #expect(lines.count == 1)
        let line = try #require(
            try JSONSerialization.jsonObject(with: Data((lines.first ?? "").utf8)) as? [String: Any])
        #expect(line["tenant"] as? String == caller.tenant.description)
        #expect(line["model"] as? String == "sim-ok")
        #expect(line["total_cost"] as? String == "0.000520000")
        #expect(line["status"] as? Int == 200)
        for text in [log, try nginxLogs()] {
            #expect(!text.contains(caller.key) && !text.contains(secret))
            #expect(!text.contains("provider-secret") && !text.contains("How are you"))
        }
        #expect(try nginxLogs().contains("\"path\":\"/nowhere\""))
    }

    private func nginxLogs() throws -> String {
        let directory = URL(fileURLWithPath: gateway.logDirectory).deletingLastPathComponent().path + "/nginx"
        return try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".log") }
            .map { try String(contentsOfFile: directory + "/" + $0, encoding: .utf8) }.joined()
    }
}
