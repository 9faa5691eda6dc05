import Foundation
import Gateway
import ProviderSimulator
import Redis
import TestSupport
import Testing

/// `tollgate bench` against a running gateway.
///
/// One after another, because they share the tenant that it makes.
@Suite(.serialized) struct BenchTests {
    private let gateway: TestGateway
    private let environment: [String: String]

    init() throws {
        gateway = try EndpointsGateway.shared()
        environment = gateway.stores.environment.merging([
            "TOLLGATE_URL": gateway.url, "TOLLGATE_ADMIN_URL": gateway.adminURL,
        ]) { $1 }
    }

    private func bench(
        _ arguments: [String], _ environment: [String: String]? = nil
    ) throws -> (status: Int32, output: String) {
        try TestCommand.run(["bench"] + arguments, environment: environment ?? self.environment)
    }

    @Test func `a short run tells all figures as JSON, and its books are exact`() throws {
        let pid = try #require(gateway.processID)
        let (status, output) = try bench([
            "--duration", "1", "--concurrency", "1,4", "--stream-concurrency", "4", "--streams", "20",
            "--settle", "0",
            "--process", "tollgated=\(pid)", "--json",
        ])
        try #require(status == 0, "\(output)")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let loads = try #require(root["loads"] as? [[String: Any]])
        #expect(loads.map { $0["load"] as? String } == ["direct", "plain", "plain", "streamed"])
        #expect(loads.map { $0["concurrency"] as? Int } == [1, 1, 4, 4])
        for load in loads {
            #expect(load["answers"] as? Int ?? 0 > 0)
            #expect(load["refused"] as? Int == 0)
            #expect(load["lost"] as? Int == 0)
            #expect(load["per_second"] as? Double ?? 0 > 0)
            #expect(load["p50_ms"] as? Double ?? 0 > 0)
        }
        let plain = loads[2]
        let cpu = try #require(plain["cpu_us_per_request"] as? [String: Double])
        #expect(Set(cpu.keys) == ["tollgated", "load generator", "others"])
        #expect(cpu["tollgated"] ?? 0 > 0)
        #expect(plain["redis_calls_per_write"] as? Double ?? 0 >= 1)
        #expect(plain["ledger_rows_per_commit"] as? Double ?? 0 >= 1)
        #expect(root["ledger_rows_max"] as? Int ?? 0 >= 1)
        #expect(root["redis_calls_max"] as? Int ?? 0 >= 1)
        let added = try #require(root["added_latency_ms"] as? [String: Double])
        #expect(added["p50"] ?? 0 > 0)
        let memory = try #require(root["memory"] as? [String: [String: Int]])
        for moment in ["before", "peak", "after"] { #expect(memory[moment]?["pss_kib"] ?? 0 > 0) }
        let slow = try #require(root["slow_streams"] as? [String: Any])
        #expect(slow["complete"] as? Int == 20)
        #expect(slow["events"] as? Int == 32)
        #expect(slow["failures"] as? [String: Int] == [:])
        let books = try #require(root["books"] as? [String: Any])
        #expect(books["exact"] as? Bool == true)
        #expect(books["drift"] as? String == "0.000000000")
        let answered = try #require(books["answered"] as? Int)
        let charged = try #require(books["charged_requests"] as? Int)
        #expect((answered...answered + 17).contains(charged))
        let counted = loads.dropFirst().reduce(0) { $0 + ($1["answers"] as? Int ?? 0) }
        #expect(answered > counted + 20)
    }

    @Test func `tables for people say the same`() throws {
        let (status, output) = try bench([
            "--duration", "1", "--concurrency", "2", "--stream-concurrency", "0", "--streams", "5",
            "--streams-per-second", "0", "--settle", "0", "--process", "tollgated=\(gateway.processID ?? 0)",
        ])
        #expect(status == 0, "\(output)")
        for text in [
            "answers/s", "plain 2", "CPU µs a request", "tollgated, MiB", "Largest batches: ",
            "Slow streams: 5 of 5 complete and in order, 32 events each", "Books: exact. ",
            "drift $0.000000000",
        ] {
            #expect(output.contains(text), "\(text) in \(output)")
        }
        #expect(!output.contains("Added latency") && !output.contains("Optional("))
    }

    @Test
    func `what the gateway refuses is counted, fails the command, and leaves the books exact, or says so`()
        throws
    {
        let small = try TestGateway(environment: ["TOLLGATE_WORKERS_MAX": "1", "TOLLGATE_QUEUE_MAX": "1"])
        let environment = small.stores.environment.merging(["TOLLGATE_URL": small.url]) { $1 }
        let (status, output) = try bench(
            [
                "--duration", "1", "--concurrency", "8", "--stream-concurrency", "0", "--streams", "8",
                "--streams-per-second", "0", "--settle", "0", "--json",
            ], environment)
        #expect(status == 1, "\(output)")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let load = try #require((root["loads"] as? [[String: Any]])?.first)
        #expect(load["refused"] as? Int ?? 0 > 0)
        #expect(load["answers"] as? Int ?? 0 > 0)
        #expect(load["redis_calls_per_write"] is NSNull)
        let slow = try #require(root["slow_streams"] as? [String: Any])
        let complete = try #require(slow["complete"] as? Int)
        #expect((1...7).contains(complete))
        #expect(slow["failures"] as? [String: Int] == ["status 503": 8 - complete])
        #expect((root["books"] as? [String: Any])?["exact"] as? Bool == true)

        // One nano-dollar that no book accounts for.
        _ = try small.stores.money.redis.command(["HINCRBY", "gw:quota:tenant:{bench}", "balance", "1"])
        let second = try bench(
            [
                "--duration", "1", "--concurrency", "1", "--stream-concurrency", "0", "--streams", "0",
                "--settle",
                "0",
            ], environment)
        #expect(second.status == 1)
        #expect(
            second.output.contains("Books: NOT EXACT.") && second.output.contains("drift $0.000000001"),
            "\(second.output)")
    }

    @Test func `another gateway is measured with its own key, and no books are looked at`() throws {
        let caller = try EndpointsCaller("bench-other", at: gateway, balance: "1000")
        let (status, output) = try bench(
            [
                "--url", gateway.url, "--key", caller.key, "--duration", "1", "--concurrency", "1",
                "--stream-concurrency", "0", "--streams", "0", "--json",
                "--direct-url", "http://127.0.0.1:\(gateway.provider.port)/v1",
            ], [:])
        #expect(status == 0, "\(output)")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        #expect((root["loads"] as? [Any])?.count == 2)
        #expect(root["added_latency_ms"] is [String: Double])
        #expect(root["books"] is NSNull && root["slow_streams"] is NSNull)
    }

    // MARK: - Mistakes

    @Test func `mistakes are told in a sentence`() throws {
        let stores = gateway.stores.environment
        let own = environment
        let cases: [(arguments: [String], environment: [String: String], status: Int32, text: String)] = [
            ([], [:], 1, "start an installation with 'tollgate up'"),
            (
                [], stores.merging(["TOLLGATE_URL": "http://127.77.0.1:1"]) { $1 }, 1,
                "127.77.0.1:1/v1/chat/completions does not answer"
            ),
            (["--url", gateway.url, "--key", "tg_wrong"], [:], 1, "answers 401"),
            (["--url", gateway.url], [:], 64, "--url and --key go together"),
            (
                [], own.merging(["PATH": "/nonexistent"]) { $1 }, 1,
                "wrk is not installed: apt-get install wrk"
            ),
            (["--model", "no-such"], own, 3, "nobody serves the model 'no-such'"),
            (["--model", "sim-500"], own, 1, "answers 50"),
            (["--slow-model", "sim-cut", "--concurrency", "1", "--duration", "1"], own, 1, "answers 502"),
            (["--concurrency", "1,x"], own, 64, "--concurrency: "),
            (["--duration", "0"], own, 64, "--duration: "),
            (["--process", "tollgated"], own, 64, "--process: "),
            (["--streams", "-1"], own, 64, "--streams"),
        ]
        for (arguments, environment, status, text) in cases {
            let outcome = try bench(arguments, environment)
            #expect(outcome.status == status, "\(arguments): \(outcome.output)")
            #expect(outcome.output.contains(text), "\(arguments): \(outcome.output)")
        }
    }
}
