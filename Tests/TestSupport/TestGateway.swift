import Catalog
package import Core
import Foundation
import Gateway
import Glibc
import Installation
package import PrivateServers
package import ProviderSimulator
import TestTools
import Testing
import Threads

/// The whole product for one test: nginx, tollgated, Redis and PostgreSQL for real, and a simulated provider.
package final class TestGateway: Sendable {
    /// PostgreSQL and Redis.
    package let stores: TestStores
    /// The provider.
    package let provider: SimulatedProvider
    /// The file in which the provider logs each call that it executed.
    package let providerLogPath: String
    /// Where the public server listens: `http://127.0.0.1:PORT`.
    package let url: String
    /// Where the admin server listens.
    package let adminURL: String
    /// Where tollgated and nginx log.
    package let logDirectory: String
    /// What tollgated is started with.
    package let environment: [String: String]

    private let directory: TemporaryDirectory
    private let nginx: PrivateNginx
    private let socketPath: String
    private let launcher: [String]
    private let process = Locked<ChildProcess?>(nil)
    private let several: TestProcesses?

    /// What the models of the test catalogue cost: dollars per million prompt and answer tokens.
    package static let rates = Price.Rates(input: 10_000_000_000, output: 30_000_000_000)

    /// Starts everything and waits until it is ready.
    ///
    /// - Parameters:
    ///   - environment: Settings of tollgated beyond those of every test.
    ///   - provider: How fast the provider answers.
    ///   - redisSettings: Settings of Redis beyond those of every installation.
    ///   - postgres: The server for the ledger; the shared one when nil.
    ///   - processes: How many processes of tollgated share a socket that is not theirs; nil for one with its own.
    ///   - filesMax: How many files nginx may open, hence how many connections it takes.
    ///   - launcher: What is put before tollgated to start it.
    package init(
        environment extra: [String: String] = [:], provider options: SimulatorOptions = SimulatorOptions(),
        redisSettings: [String: String] = [:], postgres: PrivatePostgres? = nil, processes: Int? = nil,
        filesMax: Int = 4_096, launcher: [String] = TestCommand.launcher
    ) throws {
        self.launcher = launcher
        directory = try TemporaryDirectory()
        stores = try TestStores(redisSettings: redisSettings, postgres: postgres)
        logDirectory = directory.path + "/log"
        let nginxDirectory = directory.path + "/nginx"
        for path in [logDirectory, nginxDirectory, directory.path + "/run/nginx"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        providerLogPath = directory.path + "/provider.jsonl"
        var simulated = options
        simulated.logPath = providerLogPath
        let provider = try SimulatedProvider(options: simulated)
        self.provider = provider
        _ = try WorkerThread(name: "provider", isDetached: true) { provider.run() }
        socketPath = directory.path + "/run/tollgated.sock"
        let ports = (try freePort(), try freePort())
        url = "http://127.0.0.1:\(ports.0)"
        adminURL = "http://127.0.0.1:\(ports.1)"
        let configuration = NginxConfiguration(
            configurationDirectory: nginxDirectory, runtimeDirectory: directory.path + "/run",
            templateDirectory: TestGateway.checkout + "/nginx", socketPath: socketPath, port: ports.0,
            adminPort: ports.1, filesMax: filesMax)
        let nginxPath = try configuration.write(into: nginxDirectory)
        var settings = stores.environment
        settings["TOLLGATE_SOCKET"] = socketPath
        if geteuid() == 0 { settings["TOLLGATE_SOCKET_GROUP"] = "www-data" }
        let environment = settings.merging(extra) { $1 }
        self.environment = environment
        several = try processes.map { [socketPath, directory, logDirectory] count in
            try TestProcesses(
                count, socketPath: socketPath, directory: directory.path + "/run", logDirectory: logDirectory,
                environment: environment)
        }
        try TestGateway.fillCatalog(stores, providerPort: provider.port)
        nginx = try PrivateNginx(
            directory: nginxDirectory, configurationPath: nginxPath, port: ports.0)
        try start()
    }

    deinit {
        process.withLock { $0 }?.terminate(signal: SIGKILL, until: .after(seconds: 1))
        provider.stop()
    }

    /// The models of the simulated provider that tests use.
    package static let models = [
        "sim-ok", "sim-slow", "sim-500", "sim-hang", "sim-cut", "sim-no-usage", "sim-hold", "sim-429",
        "sim-garbage", "sim-cached", "sim-bad-usage", "sim-unauthorized",
    ]

    private static func fillCatalog(_ stores: TestStores, providerPort: UInt16) throws {
        let editor = CatalogEditor(database: stores.money.database, pepper: stores.configuration.pepper)
        _ = try editor.addProvider(
            name: "simulator", baseURL: "http://127.0.0.1:\(providerPort)/v1", credential: "provider-secret",
            allowsPrivateAddresses: true)
        for model in models {
            _ = try editor.addModel(
                model, provider: "simulator", upstreamModel: model, priority: 100, weight: 1,
                outputTokensMax: 4_096, bytesPerToken: 1, outputCapField: "max_tokens")
            _ = try editor.publish(rates, perRequest: .zero, model: model, provider: nil)
        }
    }

    /// The log of tollgated, all its starts.
    package var tollgatedLogPath: String { logDirectory + "/tollgated.log" }

    // MARK: - tollgated

    /// The processes of a gateway that was given their number.
    package func processes() throws -> TestProcesses { try #require(several) }

    /// The id of tollgated's process; nil before it was started.
    package var processID: Int32? { process.withLock { $0?.pid } }

    /// Starts tollgated and waits until it is ready; for after ``kill()`` or ``stop(seconds:)``.
    package func start() throws {
        if let several { return try several.start() }
        try start(environment)
    }

    private func start(_ environment: [String: String]) throws {
        let started = try ChildProcess(
            launcher + [TestGateway.programs + "/tollgated"], environment: environment,
            logPath: tollgatedLogPath)
        process.withLock { $0 = started }
        var isReady = false
        _ = try Eventually.holds {
            isReady = try TestHTTP.get(url + "/readyz").status == 200
            return isReady || !started.isRunning
        }
        guard !isReady else { return }
        let log = (try? String(contentsOfFile: tollgatedLogPath, encoding: .utf8)) ?? ""
        Issue.record("tollgated is not ready: \(log.suffix(2_000))")
    }

    /// Ends tollgated as `kill -9` does, and waits until it is gone.
    package func kill() {
        process.withLock { $0 }?.send(SIGKILL)
        _ = process.withLock { $0 }?.wait(until: .after(seconds: 10))
    }

    /// Waits until tollgated has ended by itself; nil when it has not in time.
    package func waitForEnd(seconds: Int) -> ChildProcess.Ending? {
        process.withLock { $0 }?.wait(until: .after(seconds: seconds))
    }

    /// Sends SIGTERM and waits for the end; nil when it did not come in time.
    package func stop(seconds: Int) -> ChildProcess.Ending? {
        process.withLock { $0 }?.send(SIGTERM)
        return waitForEnd(seconds: seconds)
    }

    /// Starts tollgated anew with a crash point armed, and waits until it is ready.
    package func restart(crashAt specification: String) throws {
        kill()
        try start(environment.merging(["TOLLGATE_CRASH_AT": specification]) { $1 })
    }

    /// Runs `tollgate ARGUMENTS` against the same stores and returns its output and exit status.
    package func command(_ arguments: String...) throws -> (status: Int32, output: String) {
        try TestCommand.run(arguments, environment: environment)
    }

    // MARK: - Places

    /// The directory of this checkout.
    package static var checkout: String {
        // A build elsewhere sees the sources through links.
        URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path
    }

    /// Where the built programs are: beside the test program.
    package static var programs: String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
    }

    // MARK: - The provider's log

    /// The calls that the provider executed so far, after waiting for the log to be written.
    package func providerCalls() throws -> [TestProviderCall] {
        // Its log is flushed within 20 ms.
        usleep(60_000)
        guard let text = try? String(contentsOfFile: providerLogPath, encoding: .utf8) else { return [] }
        return try text.split(separator: "\n").map {
            try JSONDecoder().decode(TestProviderCall.self, from: Data($0.utf8))
        }
    }
}

/// One line of the provider's log: a call that it executed.
package struct TestProviderCall: Decodable, Sendable {
    /// When it ended, as ISO 8601 in UTC.
    package let at: String
    /// How long it took.
    package let duration_ms: Int64
    /// The trace of the request that caused it.
    package let trace: String?
    /// The model.
    package let model: String
    /// Whether it was streamed.
    package let stream: Bool
    /// Prompt tokens.
    package let prompt_tokens: Int64
    /// Answer tokens that were really sent.
    package let completion_tokens: Int64
    /// How it ended.
    package let outcome: String

    /// What it costs at the prices of the test catalogue.
    package var cost: Money {
        let price = Price(version: 0, rates: TestGateway.rates)
        return price.cost(of: Usage(input: prompt_tokens, output: completion_tokens)) ?? .zero
    }
}
