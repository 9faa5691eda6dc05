/// How the simulated provider listens and how fast it answers.
package struct SimulatorOptions: Sendable {
    /// The IPv4 address to listen on.
    package var host = "127.0.0.1"
    /// The port to listen on; 0 for a free one.
    package var port: UInt16 = 0
    /// Milliseconds from a request to the first byte of its answer.
    package var ttfbMilliseconds = 0
    /// Milliseconds between the content chunks of a stream.
    package var chunkMilliseconds = 0
    /// Content chunks, and so completion tokens, of an answer; nil for 16, and 32 of `sim-slow`.
    package var chunks: Int?
    /// The file that one JSON line is appended to for every executed call; nil for none.
    package var logPath: String?

    /// Creates options for the fastest answers, on a free port, without a log.
    package init() {}
}

/// Why the simulated provider cannot start.
package enum SimulatorError: Error, Equatable {
    /// The host is no IPv4 address, or the port is taken: an `errno` value.
    case cannotListen(Int32)
    /// The log cannot be opened: an `errno` value.
    case cannotOpenLog(Int32)
}
