package import FastCGI
import Glibc
import PrivateServers
import Testing
import Threads

/// One request as a worker has it, for tests of what workers do: a real responder pool on a socket, and we as the web server.
///
/// The worker waits until the test is done with the exchange, which meanwhile belongs to the test's thread.
package final class TestExchange {
    // The exchange passes from the worker to the test by `arrived` and back by `released`: never two threads at a time.
    private final class Handover: @unchecked Sendable {
        let arrived = Signal()
        let released = Signal()
        var exchange: Exchange?
    }

    private let directory: TemporaryDirectory
    private let listener: Int32
    private let pool: ResponderPool
    private let acceptor: WorkerThread
    private let handover: Handover
    private let client: Int32
    private var isFinished = false

    /// The request, until ``finish()``.
    package let exchange: Exchange

    /// Sends a request and waits until a worker has it.
    ///
    /// - Parameters:
    ///   - parameters: What nginx would pass.
    ///   - body: The body; its length is announced.
    package init(_ parameters: [(String, String)] = [], body: [UInt8] = []) throws {
        directory = try TemporaryDirectory()
        let path = directory.path + "/socket"
        listener = try UnixListener.open(path: path, mode: 0o600)
        var limits = ResponderLimits()
        limits.workersMin = 1
        limits.workersMax = 1
        limits.graceSeconds = 1
        let handover = Handover()
        self.handover = handover
        let pool = try ResponderPool(
            listening: [listener], limits: limits, overloaded: { _ in },
            handler: { exchange in
                handover.exchange = exchange
                handover.arrived.wake()
                handover.released.wait()
            })
        self.pool = pool
        acceptor = try WorkerThread(name: "acceptor") { pool.run() }
        client = try #require(TestExchange.connect(path))
        let length = body.isEmpty ? [] : [("CONTENT_LENGTH", String(body.count))]
        TestExchange.send(client, TestExchange.request(parameters + length, body))
        guard handover.arrived.wait(until: .after(seconds: 30)), let exchange = handover.exchange else {
            throw TestExchangeError.notServed
        }
        self.exchange = exchange
    }

    deinit {
        finish()
        pool.drain(seconds: 0)
        acceptor.join()
        close(client)
        close(listener)
    }

    /// Lets the worker end the exchange, and returns the whole answer: header lines, a blank line, the body.
    @discardableResult
    package func finish() -> String {
        guard !isFinished else { return "" }
        isFinished = true
        handover.released.wake()
        return TestExchange.answer(client)
    }

    /// Hangs up, as a client does that leaves.
    package func hangUp() {
        shutdown(client, Int32(SHUT_RDWR))
    }

    // MARK: - The web server's side

    private static func connect(_ path: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 ? descriptor : nil
    }

    private static func request(_ parameters: [(String, String)], _ body: [UInt8]) -> [UInt8] {
        let pairs = parameters.flatMap { name, value in
            length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
        }
        return record(1, [0, 1, 1, 0, 0, 0, 0, 0]) + stream(4, pairs) + stream(5, body)
    }

    private static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [
                UInt8(count >> 24 | 0x80), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255),
                UInt8(count & 255),
            ]
    }

    private static func stream(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        let recordBytes = 32_768
        var bytes: [UInt8] = []
        for start in Swift.stride(from: 0, to: content.count, by: recordBytes) {
            bytes += record(type, Array(content[start..<min(start + recordBytes, content.count)]))
        }
        return bytes + record(type, [])
    }

    private static func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 255), 0, 0] + content
    }

    private static func send(_ descriptor: Int32, _ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            offset += count
        }
    }

    private static func answer(_ descriptor: Int32) -> String {
        var output: [UInt8] = []
        while let header = receive(descriptor, 8) {
            guard let content = receive(descriptor, Int(header[4]) << 8 | Int(header[5])),
                receive(descriptor, Int(header[6])) != nil
            else { break }
            if header[1] == 6 { output += content }
            if header[1] == 3 { break }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func receive(_ descriptor: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let step = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + offset }, count - offset, 0)
            }
            guard step > 0 else { return nil }
            offset += step
        }
        return bytes
    }
}

private enum TestExchangeError: Error {
    case notServed
}
