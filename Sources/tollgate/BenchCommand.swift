import ArgumentParser
import Bench
import Catalog
import Core
import Foundation
import Gateway
import Installation
import Tenancy

/// The command `tollgate bench`.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a running gateway under plain and streamed load.",
        discussion: """
            It measures the installation that `tollgate up` started, as the tenant bench, to which it gives money and a key of \
            its own; afterwards it checks that the books are exact. Needs wrk. Exit status: 1 when a slow stream failed or the \
            books are not exact. With --url and --key it measures any other gateway, and looks at no books.
            """)

    @OptionGroup var place: InstallationPlace
    @Option(help: "Another gateway's address, such as http://127.0.0.1:8080; with --key.") var url: String?
    @Option(help: "An API key of that gateway.") var key: String?
    @Option(help: "The model of plain requests and of streams without delay.") var model = "sim-ok"
    @Option(help: "The model of slow streams; the simulated provider must serve it.") var slowModel =
        "sim-slow"
    @Option(help: "Where the provider's API begins, to measure added latency; else as in the catalogue.")
    var directUrl: String?
    @Option(help: "Seconds of each load.") var duration = 5
    @Option(help: "How many plain requests at once: a load for each number.") var concurrency = "1,16,64"
    @Option(help: "How many streams without delay at once; 0 for no such load.") var streamConcurrency = 64
    @Option(help: "How many slow streams, 32 events 50 ms apart; 0 for none.") var streams = 1_000
    @Option(help: "How many slow streams are opened a second; 0 for as many as can be.")
    var streamsPerSecond = 1_000
    @Option(help: "Seconds until memory is looked at for the last time; idle workers end after 30.")
    var settle = 2
    @Option(
        help: ArgumentHelp("A process to measure, with its children; can be repeated.", valueName: "name=pid")
    )
    var process: [String] = []
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (url == nil) == (key == nil) else { throw ValidationError("--url and --key go together") }
        guard (1...3_600).contains(duration) else { throw ValidationError("--duration: 1 to 3600") }
        guard !concurrencies.isEmpty, concurrencies.allSatisfy({ (1...10_000).contains($0) }) else {
            throw ValidationError("--concurrency: numbers from 1 to 10000 with commas between them")
        }
        for value in [streamConcurrency, streams, streamsPerSecond, settle]
        where !(0...60_000).contains(value) {
            throw ValidationError(
                "--stream-concurrency, --streams, --streams-per-second, --settle: 0 to 60000")
        }
        for text in process where BenchCommand.group(text) == nil {
            throw ValidationError("--process: '\(text)' is not like tollgated=4711")
        }
    }

    func run() throws {
        let generator = try attempt { () throws(BenchError) in try LoadGenerator() }
        guard let url, let key else { return try measureOwn(generator) }
        let result = try measure(generator, plan(url, key, direct: nil), processes: [], adminURL: nil)
        try finish(url, result, books: nil)
    }

    /// Measures the installation that the environment names.
    private func measureOwn(_ generator: LoadGenerator) throws {
        let variables = ProcessInfo.processInfo.environment
        guard let url = variables["TOLLGATE_URL"] else {
            throw fail(
                "TOLLGATE_URL is not set: start an installation with 'tollgate up' and source its env file, or name "
                    + "another gateway with --url and --key")
        }
        let stores = try CommandStores()
        let provider = try servingProvider(stores)
        let tenant = try BenchTenant(stores)
        defer { tenant.revokeKey() }
        let direct = ChatTarget(
            api: provider.provider.baseURL, key: provider.provider.credential, model: provider.upstreamModel)
        let result = try measure(
            generator, plan(url, tenant.key.text, direct: direct), processes: runningParts(at: url),
            adminURL: variables["TOLLGATE_ADMIN_URL"])
        try finish(url, result, books: try tenant.books(for: result.asked))
    }

    private func plan(_ url: String, _ key: String, direct: ChatTarget?) -> BenchPlan {
        let api = url.reversed().drop { $0 == "/" }.reversed() + "/v1"
        return BenchPlan(
            gateway: ChatTarget(api: String(api), key: key, model: model),
            slow: ChatTarget(api: String(api), key: key, model: slowModel),
            direct: directUrl.map { ChatTarget(api: $0, key: nil, model: model) } ?? direct,
            seconds: duration,
            concurrencies: concurrencies, streamConcurrency: streamConcurrency, slowStreams: streams,
            slowStreamsPerSecond: streamsPerSecond, settleSeconds: settle)
    }

    private func measure(
        _ generator: LoadGenerator, _ plan: BenchPlan, processes: [ProcessGroup], adminURL: String?
    ) throws -> BenchResult {
        let named = process.compactMap { BenchCommand.group($0) }
        let observer = Observer(processes: processes + named, adminURL: adminURL)
        return try attempt { () throws(BenchError) in
            try plan.run(with: generator, observer: observer) { step in
                if !output.json { FileHandle.standardError.write(Data("\(step) …\n".utf8)) }
            }
        }
    }

    /// Who serves the model, by the catalogue.
    private func servingProvider(_ stores: CommandStores) throws -> ProviderModel {
        let catalog = CatalogReader(database: stores.money.database, pepper: stores.configuration.pepper)
        _ = try attempt { try catalog.reload() }
        guard let served = catalog.current.models[model]?.first else {
            throw fail("nobody serves the model '\(model)'; name another with --model", ExitStatus.notFound)
        }
        return served
    }

    /// The processes of the private installation, if that is the one with this address.
    private func runningParts(at url: String) -> [ProcessGroup] {
        // Without it requests are measured all the same.
        guard let layout = try? InstallationLayout(directory: place.dir) else { return [] }
        let status = InstallationStatus(of: layout)
        guard status.url == url else { return [] }
        return status.parts.compactMap { part in part.pid.map { ProcessGroup(name: part.name, pids: [$0]) } }
    }

    private func finish(_ url: String, _ result: BenchResult, books: BenchBooks?) throws {
        let report = BenchReport(url: url, model: model, seconds: duration, result: result, books: books)
        if output.json { printJSON(report.json) } else { report.printTables() }
        let streamsFailed = result.slow.map { $0.figures.complete < $0.figures.streams } ?? false
        guard !streamsFailed, books?.isExact ?? true else { throw ExitCode.failure }
    }

    private var concurrencies: [Int] {
        let numbers = concurrency.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        return numbers.contains(nil) ? [] : numbers.compactMap { $0 }
    }

    private static func group(_ text: String) -> ProcessGroup? {
        let parts = text.split(separator: "=")
        guard parts.count == 2, let pid = Int32(parts[1]), pid > 0 else { return nil }
        return ProcessGroup(name: String(parts[0]), pids: [pid])
    }
}
