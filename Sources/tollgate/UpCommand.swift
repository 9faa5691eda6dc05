import ArgumentParser
import Foundation
import Installation

/// `tollgate up`: everything on this machine, in one directory.
struct UpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract:
            "Start a private installation: PostgreSQL, Redis, tollgated, jobs, nginx, a simulated provider.",
        discussion: """
            Everything lives under one directory and ends with this command (Ctrl-C); the data stays for the next time. \
            The first start makes the tenant demo with $10, a key and a priced model, and every start prints how to call it.
            """)

    @OptionGroup var place: InstallationPlace

    @Option(help: "The port of the gateway.")
    var port = 8080

    @Option(help: "The port of the admin server and the metrics.")
    var adminPort = 8081

    @Option(help: "How many processes of tollgated share the work.")
    var processes = 1

    @Flag(help: "Go on in the background; `tollgate down` stops it.")
    var detach = false

    @Flag(inversion: .prefixedNo, help: "Run a provider that invents its answers.")
    var simulator = true

    @Option(
        help: ArgumentHelp(
            "The address of a provider to add, such as https://api.example.com/v1. With --provider-credential, --model, "
                + "--price-input and --price-output; all five can be repeated.", valueName: "url"))
    var provider: [String] = []

    @Option(help: ArgumentHelp("Our secret for that provider.", valueName: "credential"))
    var providerCredential: [String] = []

    @Option(help: ArgumentHelp("The model to use there.", valueName: "model"))
    var model: [String] = []

    @Option(help: ArgumentHelp("Its price in US dollars per million input tokens.", valueName: "usd"))
    var priceInput: [String] = []

    @Option(help: ArgumentHelp("Its price in US dollars per million output tokens.", valueName: "usd"))
    var priceOutput: [String] = []

    @Option(help: ArgumentHelp("Who is told of events, now and at later starts.", valueName: "url"))
    var webhook: String?

    @Flag(name: .customLong("in-background"), help: .private)
    var isInBackground = false

    func validate() throws {
        let counts = [providerCredential.count, model.count, priceInput.count, priceOutput.count]
        guard counts.allSatisfy({ $0 == provider.count }) else {
            throw ValidationError(
                """
                Each --provider needs one --provider-credential, one --model, and what the model costs, because every \
                request is billed: one --price-input and one --price-output, in US dollars per million tokens.
                """)
        }
    }

    func run() throws {
        let status: Int32
        do throws(InstallationError) {
            status = try start()
        } catch {
            FileHandle.standardError.write(Data("tollgate up: \(error)\n".utf8))
            if case .interrupted = error { throw ExitCode(130) }
            throw ExitCode.failure
        }
        guard status == 0 else { throw ExitCode(status) }
    }

    /// Runs the installation to its end, or starts it in the background; returns the exit status.
    private func start() throws(InstallationError) -> Int32 {
        let options = try InstallationOptions(
            directory: place.dir, port: port, adminPort: adminPort, processes: processes,
            hasSimulator: simulator,
            providers: choices, webhookURL: webhook,
            shareDirectory: InstallationPlace.shareDirectory)
        if detach && !isInBackground {
            let arguments = Array(CommandLine.arguments.dropFirst()) + ["--in-background"]
            return try BackgroundStart.start(arguments: arguments)
        }
        let signals = SignalWatch()
        let console = Console(waiter: isInBackground ? BackgroundStart.waiterDescriptor : nil)
        try Supervisor(
            options: options, console: console, signals: signals,
            programDirectory: InstallationPlace.programDirectory
        ).run()
        return 0
    }

    private var choices: [InstallationOptions.ProviderChoice] {
        provider.indices.map { index in
            .init(
                url: provider[index], credential: providerCredential[index], model: model[index],
                inputPrice: priceInput[index], outputPrice: priceOutput[index])
        }
    }
}
