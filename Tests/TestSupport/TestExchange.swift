package import FastCGI
import Glibc
import PrivateServers
import TestTools
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
    private let client: FastCGIClient
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
        client = try #require(FastCGIClient(path: path, timeoutSeconds: 60))
        let length = body.isEmpty ? [] : [("CONTENT_LENGTH", String(body.count))]
        client.send(Records.request(parameters: parameters + length, body: body))
        guard handover.arrived.wait(until: .after(seconds: 30)), let exchange = handover.exchange else {
            throw TestExchangeError.notServed
        }
        self.exchange = exchange
    }

    deinit {
        finish()
        pool.drain(seconds: 0)
        acceptor.join()
        close(listener)
    }

    /// Lets the worker end the exchange, and returns the whole answer: header lines, a blank line, the body.
    @discardableResult
    package func finish() -> String {
        guard !isFinished else { return "" }
        isFinished = true
        handover.released.wake()
        return client.answer() ?? ""
    }

    /// Hangs up, as a client does that leaves.
    package func hangUp() {
        client.close()
    }
}

private enum TestExchangeError: Error {
    case notServed
}
