import Foundation
import Gateway
import Glibc
import PrivateServers
import Redis
import TestSupport
import Testing

/// `tollgate doctor` against installations that are well and that are not.
@Suite struct DoctorTests {
    private struct Report: Decodable {
        struct Check: Decodable {
            let name: String
            let status: String
            let text: String
            let advice: String?
        }
        let status: String
        let checks: [Check]

        /// The one finding of this name.
        func only(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Check {
            let found = checks.filter { $0.name == name }
            try #require(
                found.count == 1, "\(name): \(checks.map { "\($0.name) \($0.text)" })",
                sourceLocation: sourceLocation)
            return found[0]
        }

        /// Checks a finding: how bad, and that it and its advice say this.
        func expect(
            _ name: String, _ status: String, _ texts: String...,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let check = try only(name, sourceLocation: sourceLocation)
            #expect(check.status == status, "\(name): \(check.text)", sourceLocation: sourceLocation)
            for text in texts {
                #expect(
                    check.text.contains(text) || check.advice?.contains(text) == true,
                    "\(check.text): \(check.advice ?? "")", sourceLocation: sourceLocation)
            }
            #expect((check.advice == nil) == (status == "ok"), "\(name)", sourceLocation: sourceLocation)
        }
    }

    private func examine(
        _ gateway: TestGateway, _ changes: [String: String] = [:]
    ) throws -> (status: Int32, report: Report) {
        var environment = gateway.environment
        environment["TOLLGATE_URL"] = gateway.url
        environment["TOLLGATE_ADMIN_URL"] = gateway.adminURL
        let outcome = try TestCommand.run(
            ["doctor", "--json"], environment: environment.merging(changes) { $1 })
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let worst = report.checks.contains { $0.status == "fail" }
        #expect(outcome.status == (worst ? 1 : 0))
        #expect((report.status == "fail") == worst)
        return (outcome.status, report)
    }

    private func run(_ gateway: TestGateway, _ words: String) throws {
        let arguments = words.split(separator: " ").map { String($0) }
        let outcome = try TestCommand.run(arguments, environment: gateway.environment)
        try #require(outcome.status == 0, "\(words): \(outcome.output)")
    }

    @Test func `what is well is ok, and what is not says what to do`() throws {
        let gateway = try TestGateway()
        var (_, report) = try examine(gateway)
        for name in [
            "settings", "postgresql", "schema", "connections", "partitions", "redis", "eviction", "aof",
            "tollgated", "nginx", "nginx admin", "catalogue", "credentials", "tzdata", "providers",
        ] {
            try report.expect(name, "ok")
        }
        // The servers of tests forget everything in a crash; their pepper is anybody's; nobody sweeps.
        try report.expect("durability", "fail", "fsync", "postgresql.conf")
        try report.expect("pepper", "warn", "chmod 600")
        try report.expect("sweep", "warn", "has never run")
        chmod(gateway.stores.pepperPath, 0o600)
        try run(gateway, "job sweep")

        for (provider, url, flag) in [
            ("near", "http://10.1.2.3/v1", ""), ("far", "https://8.8.8.8/v1", " --allow-private-addresses"),
            ("plain", "http://8.8.8.8/v1", ""),
            ("cloud", "http://169.254.169.254/v1", " --allow-private-addresses"),
            ("none", "https://\(String(repeating: "x", count: 70))/v1", ""),
            ("good", "https://8.8.8.8/v1", ""),
        ] {
            try run(gateway, "provider add \(provider) --url \(url) --credential sk-very-secret\(flag)")
            try run(gateway, "model add sim-ok --provider \(provider)")
        }
        try run(gateway, "model add without-price --provider good")
        (_, report) = try examine(gateway)
        #expect(!report.checks.contains { $0.name == "pepper" || $0.name == "provider good" })
        try report.expect("sweep", "ok")
        try report.expect("catalogue", "warn", "without-price", "price set without-price")
        try report.expect(
            "provider near", "fail", "10.1.2.3 is private", "set near --allow-private-addresses")
        try report.expect("provider far", "warn", "set far --no-allow-private-addresses")
        try report.expect("provider plain", "warn", "not encrypted")
        try report.expect("provider cloud", "fail", "169.254.169.254 is never connected to")
        try report.expect("provider none", "fail", "does not resolve")

        let text = try TestCommand.run(["doctor"], environment: gateway.environment)
        #expect(text.status == 1)
        for line in text.output.split(separator: "\n") {
            #expect(["OK  ", "WARN", "FAIL"].contains(line.prefix(4)), "\(line)")
            #expect(line.hasPrefix("OK") != line.contains("To do: "), "\(line)")
        }
        // No address was given, and nothing else runs here.
        #expect(text.output.contains("give --url"))
        #expect(!text.output.contains("very-secret") && !text.output.contains("a pepper that is"))
    }

    @Test func `each part that is away or wrong is named`() throws {
        let gateway = try TestGateway()
        var (_, report) = try examine(gateway, ["TOLLGATE_DATABASE": "host=/nonexistent dbname=x"])
        try report.expect("postgresql", "fail", "/nonexistent", "TOLLGATE_DATABASE")
        try report.expect("catalogue", "warn", "not looked at")
        try report.expect("redis", "ok")

        (_, report) = try examine(
            gateway,
            [
                "TOLLGATE_REDIS": "/nonexistent.sock", "TOLLGATE_SOCKET": "/nonexistent/tollgated.sock",
                "TOLLGATE_URL": "http://127.0.0.1:9",
            ])
        try report.expect("redis", "fail", "TOLLGATE_REDIS")
        try report.expect(
            "tollgated", "fail", "/nonexistent/tollgated.sock: No such file", "tollgated.socket")
        try report.expect("nginx", "fail", "http://127.0.0.1:9", "nginx/README.md")
        try report.expect("nginx admin", "ok")

        (_, report) = try examine(
            gateway,
            ["TOLLGATE_PEPPER_FILE": "", "TOLLGATE_WORKERS_MAX": "many", "CREDENTIALS_DIRECTORY": ""])
        let mistakes = report.checks.filter { $0.name == "settings" }
        #expect(mistakes.count == 2 && mistakes.allSatisfy { $0.status == "fail" })
        #expect(mistakes.contains { $0.text.contains("TOLLGATE_WORKERS_MAX is 'many'") })
        // Nothing can be opened without the secret.
        try report.expect("credentials", "fail", "simulator", "provider set simulator --credential -")

        for setting in [("maxmemory-policy", "allkeys-lru"), ("appendonly", "no")] {
            _ = try gateway.stores.money.redis.command(["CONFIG", "SET", setting.0, setting.1])
        }
        (_, report) = try examine(gateway)
        try report.expect("eviction", "fail", "allkeys-lru", "noeviction")
        try report.expect("aof", "warn", "appendonly is no")
        try report.expect("tollgated", "fail", "not ready", "maxmemory-policy is not noeviction")

        gateway.kill()
        (_, report) = try examine(gateway)
        try report.expect("tollgated", "fail", "Connection refused")
        try report.expect("nginx", "fail", "start tollgated")
    }

    @Test func `an installation that may lose nothing passes, once it is migrated and offers something`()
        throws
    {
        let gateway = try EndpointsGateway.shared()
        let directory = try TemporaryDirectory()
        let postgres = try PrivatePostgres(directory: directory.path + "/postgres")
        _ = try postgres.run(sql: "CREATE ROLE tollgate_app LOGIN")
        _ = try postgres.run(sql: "CREATE DATABASE ledger")
        let owner = postgres.connectionString(database: "ledger")
        let changes = [
            "TOLLGATE_DATABASE": "host='\(postgres.socketDirectory)' user=tollgate_app dbname=ledger",
            "TOLLGATE_MIGRATE_DATABASE": owner,
        ]
        var (status, report) = try examine(gateway, changes)
        try report.expect("schema", "fail", "at version 0", "tollgate migrate")
        try report.expect("durability", "ok", "synchronous_commit on")

        let environment = gateway.environment.merging(changes) { $1 }
        func run(_ words: String) throws {
            let arguments = words.split(separator: " ").map { String($0) }
            let outcome = try TestCommand.run(arguments, environment: environment)
            try #require(outcome.status == 0, "\(words): \(outcome.output)")
        }
        try run("migrate")
        (status, report) = try examine(gateway, changes)
        try report.expect("catalogue", "fail", "no model has a price", "provider add")
        try run("provider add one --url http://127.0.0.1:1/v1 --credential x --allow-private-addresses")
        try run("model add small --provider one")
        try run("price set small --input 1 --output 2")
        (status, report) = try examine(gateway, changes)
        #expect(status == 0, "\(report.checks.filter { $0.status == "fail" })")
        #expect(report.status == "warn")
        try report.expect("catalogue", "ok", "1 models")

        (_, report) = try examine(gateway, ["TOLLGATE_DATABASE": owner])
        try report.expect("postgresql", "warn", "superuser")
    }
}
