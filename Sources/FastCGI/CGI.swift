import CFastCGI
import Glibc
import Threads

/// Plain CGI: one request a process, on the standard streams.
package enum CGI {
    /// Whether a web server started this process for one request.
    ///
    /// libfcgi takes everything for CGI that has no listening socket as its standard input, a shell too; so a request must be there.
    package static var isCGI: Bool {
        guard getenv("REQUEST_METHOD") != nil else { return false }
        Library.initialise()
        return FCGX_IsCGI() != 0
    }

    /// Serves the one request of this process.
    package static func serve(readTimeoutSeconds: Int = 30, _ handler: (Exchange) -> Void) {
        let channel = CGIChannel()
        handler(Exchange(channel: channel, shutdownDescriptor: -1, readTimeoutSeconds: readTimeoutSeconds))
        _ = channel.flush()
    }
}

/// The standard streams and the environment of a CGI process.
private final class CGIChannel: ExchangeChannel {
    private static let bufferBytes = 16 * 1_024

    private var output: [UInt8] = []
    private var failure: Int32 = 0
    /// What of the body is still to come; a web server need not end the stream after it.
    private var inputBytes: Int

    init() {
        inputBytes = getenv("CONTENT_LENGTH").flatMap { Int(String(cString: $0)) } ?? 0
        output.reserveCapacity(Self.bufferBytes)
    }

    func parameter(_ name: String) -> UnsafePointer<CChar>? {
        UnsafePointer(getenv(name))
    }

    func forEachParameter(_ name: String, _ body: (UnsafePointer<CChar>) -> Void) {
        if let value = parameter(name) { body(value) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) -> InputResult {
        guard inputBytes > 0 else { return .end }
        var state = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&state, 1, deadline.remainingMilliseconds) > 0 else { return .timedOut }
        let count = Glibc.read(STDIN_FILENO, buffer.baseAddress, min(buffer.count, inputBytes))
        guard count >= 0 else { return .broken }
        // An early end of the stream is an end of the body, too early as it may be.
        inputBytes = count == 0 ? 0 : inputBytes - count
        return count == 0 ? .end : .bytes(count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        guard failure == 0 else { return }
        if output.count + bytes.count > Self.bufferBytes { _ = flush() }
        if bytes.count > Self.bufferBytes { send(bytes) } else { output.append(contentsOf: bytes) }
    }

    func flush() -> Int32 {
        output.withUnsafeBytes { send($0) }
        output.removeAll(keepingCapacity: true)
        return failure
    }

    func finish() -> Int32 { flush() }

    private func send(_ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while failure == 0, offset < bytes.count {
            let rest = bytes[offset...]
            let count = Glibc.write(
                STDOUT_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 { offset += count } else if errno != EINTR { failure = errno }
        }
    }

    var watchDescriptor: Int32 { -1 }

    func isPeerGone() -> Bool {
        var state = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return failure != 0 || poll(&state, 1, 0) > 0
    }
}
