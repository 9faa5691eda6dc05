import Glibc
import HTTPClient
import Testing
import Threads

struct FailureTests {
    private let transport = HTTPTransport()

    private func timeouts(firstByte: Int = 20_000, gap: Int = 20_000, total: Int = 60_000) -> HTTPTimeouts {
        HTTPTimeouts(
            connectMilliseconds: 20_000, firstByteMilliseconds: firstByte, gapMilliseconds: gap,
            totalMilliseconds: total)
    }

    @Test func `a provider that never answers runs into the first-byte timeout`() throws {
        let server = try ScriptedServer { peer in _ = peer.waitForClose() }
        defer { server.stop() }
        let watch = Stopwatch()
        #expect(server.failure(timeouts: timeouts(firstByte: 150)) == .timeout(.firstByte))
        #expect((150..<150 + slack).contains(watch.milliseconds))
    }

    @Test func `headers that trickle in do not extend the first-byte timeout`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\n")
            while peer.send("x-more: y\r\n") { pause(milliseconds: 10) }
        }
        defer { server.stop() }
        let watch = Stopwatch()
        #expect(server.failure(timeouts: timeouts(firstByte: 150)) == .timeout(.firstByte))
        #expect(watch.milliseconds < 150 + slack)
    }

    @Test func `a stall in the body runs into the gap timeout, counted over idle reads`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
            _ = peer.waitForClose()
        }
        defer { server.stop() }
        var transfer = try server.post(transport, timeouts: timeouts(gap: 200))
        var buffer: [UInt8] = []
        #expect(try transfer.read(into: &buffer) == .data(3))
        let watch = Stopwatch()
        #expect(throws: HTTPClientError.timeout(.gap)) {
            while try transfer.read(into: &buffer, idleMilliseconds: 30) == .idle {}
        }
        #expect((200..<200 + slack).contains(watch.milliseconds))
        transfer.cancel()
    }

    @Test func `an endless body runs into the total timeout`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            while peer.send("data: x\n\n") { pause(milliseconds: 1) }
        }
        defer { server.stop() }
        let watch = Stopwatch()
        #expect(server.failure(timeouts: timeouts(total: 200)) == .timeout(.total))
        #expect((200..<200 + slack).contains(watch.milliseconds))
    }

    @Test(arguments: [true, false])
    func `a connection that ends inside a chunk is lost, after what came was read`(
        byReset: Bool
    ) throws {
        let mayEnd = Signal()
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nonly this")
            mayEnd.wait()
            if byReset { peer.reset() } else { peer.close() }
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        var buffer: [UInt8] = []
        #expect(try transfer.read(into: &buffer) == .data(9))
        mayEnd.wake()
        #expect(throws: HTTPClientError.connectionLost(answerBegun: true)) {
            try transfer.read(into: &buffer)
        }
        #expect(buffer == Array("only this".utf8))
        transfer.cancel()
    }

    @Test func `a body shorter than announced is a lost connection, not an end`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort")
        }
        defer { server.stop() }
        #expect(server.failure() == .connectionLost(answerBegun: true))
    }

    @Test func `an answer that ends inside its headers is a lost connection`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-le")
        }
        defer { server.stop() }
        #expect(server.failure() == .connectionLost(answerBegun: true))
    }

    @Test func `a fresh connection that closes without an answer is lost before any`() throws {
        let server = try ScriptedServer { peer in _ = peer.readRequest() }
        defer { server.stop() }
        #expect(server.failure() == .connectionLost(answerBegun: false))
        #expect(server.requests.count == 1)
    }

    @Test func `a port where nobody listens refuses the connection`() throws {
        let server = try ScriptedServer { _ in }
        server.stop()
        pause(milliseconds: 50)
        guard case .connectFailed = server.failure() else {
            Issue.record("the connection was not refused")
            return
        }
    }

    @Test func `a name without an address cannot be resolved`() {
        #expect(throws: HTTPClientError.resolveFailed) {
            _ = try transport.start(HTTPRequest(url: "http://nobody.invalid/"), timeouts: patient).status
        }
    }

    @Test func `headers without end are cut off`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\n")
            while peer.send("x-flood: \(String(repeating: "y", count: 1_000))\r\n") {}
        }
        defer { server.stop() }
        #expect(server.failure() == .headersTooLarge)
    }

    @Test func `one header line without end is cut off`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\nx-flood: ")
            while peer.send(String(repeating: "y", count: 10_000)) {}
        }
        defer { server.stop() }
        #expect(server.failure() == .headersTooLarge)
    }

    @Test func `trailers without end are cut off`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
            while peer.send("x-flood: \(String(repeating: "y", count: 1_000))\r\n") {}
        }
        defer { server.stop() }
        #expect(server.failure() == .headersTooLarge)
    }

    @Test func `a body over the reader's limit is refused`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send(answer(String(repeating: "x", count: 1_001)))
        }
        defer { server.stop() }
        #expect(throws: HTTPClientError.bodyTooLarge) { try server.exchange(transport, bytesMax: 1_000) }
    }

    @Test(arguments: [
        "this is not HTTP\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    ]) func `an answer that is not ours to read is a protocol error`(bytes: String) throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send(bytes)
            _ = peer.waitForClose()
        }
        defer { server.stop() }
        guard case .protocolError = server.failure() else {
            Issue.record("no protocol error: \(String(describing: server.failure()))")
            return
        }
    }

    @Test func `a chunk size that is no number ends the transfer with an error`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
            _ = peer.waitForClose()
        }
        defer { server.stop() }
        #expect(server.failure() != nil)
    }
}

struct WatchingTests {
    private let transport = HTTPTransport()

    /// Two connected sockets.
    private func socketPair() -> (near: Int32, far: Int32) {
        var pair: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
        return (pair[0], pair[1])
    }

    /// Closes a descriptor a little later, on a thread of its own.
    private func closeLater(_ descriptor: Int32) throws {
        _ = try WorkerThread(name: "closer", isDetached: true) {
            pause(milliseconds: 100)
            close(descriptor)
        }
    }

    @Test func `a client that leaves before the answer ends the wait within a second`() throws {
        let closed = Signal()
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            if peer.waitForClose() { closed.wake() }
        }
        defer { server.stop() }
        let client = socketPair()
        defer { close(client.near) }
        let watch = Stopwatch()
        try closeLater(client.far)
        #expect(throws: HTTPClientError.watchedDescriptor(client.near)) {
            _ = try server.post(transport, watching: [client.near]).status
        }
        #expect(watch.milliseconds < 100 + slack)
        #expect(closed.wait(until: .after(seconds: 5)))
    }

    @Test func `a client that half-closes counts as gone`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            _ = peer.waitForClose()
        }
        defer { server.stop() }
        let client = socketPair()
        defer {
            close(client.near)
            close(client.far)
        }
        shutdown(client.far, Int32(SHUT_WR))
        #expect(throws: HTTPClientError.watchedDescriptor(client.near)) {
            _ = try server.post(transport, watching: [client.near]).status
        }
    }

    @Test func `after a client has left the rest of the answer can still be read`() throws {
        let mayGoOn = Signal()
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
            mayGoOn.wait()
            peer.send("b")
        }
        defer { server.stop() }
        let client = socketPair()
        let other = socketPair()
        defer {
            close(client.near)
            close(other.near)
            close(other.far)
        }
        var transfer = try server.post(transport, watching: [other.near, client.near])
        var buffer: [UInt8] = []
        #expect(try transfer.read(into: &buffer) == .data(1))
        try closeLater(client.far)
        #expect(throws: HTTPClientError.watchedDescriptor(client.near)) { try transfer.read(into: &buffer) }
        transfer.stopWatching()
        mayGoOn.wake()
        #expect(try transfer.read(into: &buffer) == .data(1))
        #expect(try transfer.read(into: &buffer) == .end)
        transfer.cancel()
    }
}
