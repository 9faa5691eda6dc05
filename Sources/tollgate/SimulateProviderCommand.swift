import ArgumentParser
import FastCGI
import Foundation
import ProviderSimulator
import Threads

/// The command `tollgate simulate-provider`.
struct SimulateProviderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-provider",
        abstract: "Run a provider that invents its answers and counts them exactly.",
        discussion: """
            It speaks OpenAI's chat completions. The model's name chooses how it behaves: sim-ok, sim-slow, sim-500, sim-429, \
            sim-hang, sim-cut, sim-no-usage, sim-garbage, and more. Every call it executed is one line in its log.
            """)

    @Option(help: "The port on 127.0.0.1; 0 for a free one.") var port: UInt16 = 0
    @Option(help: "Milliseconds until an answer begins.") var ttfbMs = 0
    @Option(help: "Milliseconds between the chunks of a stream.") var chunkMs = 0
    @Option(help: "Content chunks, and so completion tokens, of an answer.") var chunks: Int?
    @Option(help: "The file that each executed call is written to.") var log: String?

    func run() throws {
        for value in [ttfbMs, chunkMs, chunks ?? 1] where !(0...3_600_000).contains(value) {
            throw ValidationError("--ttfb-ms, --chunk-ms and --chunks: 0 to 3600000")
        }
        var options = SimulatorOptions()
        options.port = port
        options.ttfbMilliseconds = ttfbMs
        options.chunkMilliseconds = chunkMs
        options.chunks = chunks
        options.logPath = log
        let chosen = options
        let provider = try attempt { () throws(SimulatorError) in try SimulatedProvider(options: chosen) }
        try SignalThread.start { _ in provider.stop() }
        DescriptorLimit.raise()
        // At once, also into a file or a pipe: whoever started it waits for the port.
        let line = "simulated provider on http://127.0.0.1:\(provider.port)/v1\n"
        FileHandle.standardOutput.write(Data(line.utf8))
        provider.run()
    }
}
