import Glibc
import HTTPClient
import Testing
import Threads

/// A holder of a transfer, as a context that lives through several steps is.
private struct Holder: ~Copyable {
    var transfer: HTTPTransfer?
}

struct TransferTests {
    private let transport = HTTPTransport()

    @Test func `an answer arrives with its status, headers and body`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send(answer("hello", status: "201 Created", headers: "X-One:  a b \r\nx-two:\r\n"))
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        #expect(transfer.status == 201)
        #expect(transfer.header("x-one") == "a b")
        #expect(transfer.header("X-TWO") == "")
        #expect(transfer.header("x-three") == nil)
        #expect(try transfer.readAll(bytesMax: 5) == Array("hello".utf8))
        #expect(transfer.bytesReceived == 5)
        #expect(transfer.firstByteMicroseconds > 0)
    }

    @Test func `the request goes out as given, with nothing added that changes its meaning`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("")) }
        }
        defer { server.stop() }
        let headers = [(name: "Content-Type", value: "application/json"), (name: "x-empty", value: "")]
        let big = String(repeating: "b", count: 2_000_000)
        for body in ["{\"a\":1}", "", big] {
            var transfer = try server.post(transport, body: body, headers: headers)
            _ = try transfer.readAll(bytesMax: 0)
            let request = try #require(server.requests.last)
            #expect(request.hasPrefix("POST /v1 HTTP/1.1\r\n"))
            #expect(request.hasSuffix("\r\n\r\n" + body))
            #expect(request.contains("\r\nContent-Type: application/json\r\n"))
            #expect(request.contains("\r\nx-empty:\r\n"))
            #expect(request.contains("\r\nAccept-Encoding: identity\r\n"))
            #expect(!request.lowercased().contains("\r\nexpect"))
        }
    }

    @Test func `a request over a warm connection has its own header fields, and none of the one before`()
        throws
    {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("")) }
        }
        defer { server.stop() }
        let all: [[(name: String, value: String)]] = [
            [("x-a", "1"), ("x-b", "2"), ("x-c", "3")], [("x-a", "1"), ("x-b", "2"), ("x-c", "4")],
            [("x-a", "1"), ("x-b", "")], [("x-a", "1"), ("x-b", ""), ("x-d", "5")],
            [("x-a", "1"), ("Accept-Encoding", "gzip")],
            [("x-a", "1"), ("accept-encoding", "br"), ("x-e", "6")], [],
            [("x-a", "7")],
        ]
        for headers in all {
            var transfer = try server.post(transport, headers: headers)
            _ = try transfer.readAll(bytesMax: 0)
            let request = try #require(server.requests.last)
            let lines = request.split(separator: "\r\n").map { String($0) }
            let encodings = lines.filter { $0.lowercased().hasPrefix("accept-encoding:") }
            let wanted = headers.map { $0.value.isEmpty ? "\($0.name):" : "\($0.name): \($0.value)" }
            #expect(lines.filter { $0.hasPrefix("x-") } == wanted.filter { $0.hasPrefix("x-") })
            let own = wanted.filter { $0.lowercased().hasPrefix("accept-encoding:") }
            #expect(encodings == (own.isEmpty ? ["Accept-Encoding: identity"] : own))
            #expect(!request.lowercased().contains("content-type"))
        }
        #expect(server.connectionCount == 1)
    }

    @Test func `a field that is not allowed is refused on a warm connection too`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("")) }
        }
        defer { server.stop() }
        var transfer = try server.post(transport, headers: [("x-a", "1")])
        _ = try transfer.readAll(bytesMax: 0)
        _ = consume transfer
        for field in [("x-b", "1\r\nx-c: 2"), ("Content-Length", "7"), ("x b", "1")] {
            let error = #expect(throws: HTTPClientError.self) {
                _ = try server.post(transport, headers: [("x-a", "1"), field])
            }
            guard case .invalidRequest = error else { throw try #require(error) }
        }
        #expect(server.requests.count == 1)
    }

    @Test(arguments: ["GET", "HEAD", "DELETE", "PUT"]) func `other methods keep their name`(method: String)
        throws
    {
        let server = try ScriptedServer { peer in
            while let request = peer.readRequest() {
                peer.send(
                    request.hasPrefix("HEAD") ? "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" : answer("x"))
            }
        }
        defer { server.stop() }
        let request = HTTPRequest(method: method, url: server.url(), body: method == "PUT" ? [0x61] : [])
        // The second request goes out after a POST on the same handle, which must leave no trace.
        for _ in 0..<2 {
            var transfer = try transport.start(request, timeouts: patient, allowsPrivateAddresses: true)
            #expect(try transfer.readAll(bytesMax: 9).count == (method == "HEAD" ? 0 : 1))
            transfer.cancel()
            _ = try server.exchange(transport)
        }
        #expect(server.requests[0].hasPrefix("\(method) /v1 HTTP/1.1\r\n"))
        #expect(server.requests[2] == server.requests[0])
        #expect(server.requests[0].contains("ontent-Length: 1\r\n") == (method == "PUT"))
    }

    @Test func `a chunked answer may be split at every byte`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            for byte
                in "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nt: v\r\n\r\n"
                .utf8
            {
                peer.send([byte])
                usleep(200)
            }
        }
        defer { server.stop() }
        #expect(try server.exchange(transport) == "hello!")
    }

    @Test func `a body without a length ends with the connection`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\n\r\nto the end")
        }
        defer { server.stop() }
        #expect(try server.exchange(transport) == "to the end")
    }

    @Test func `an interim answer is not the answer`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 100 Continue\r\n\r\n")
            pause(milliseconds: 20)
            peer.send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer("done"))
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        #expect(transfer.status == 200)
        #expect(transfer.header("link") == nil)
        #expect(try transfer.readAll(bytesMax: 10) == Array("done".utf8))
    }

    @Test(arguments: ["/elsewhere", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"])
    func `a redirect is an answer like any other`(location: String) throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send(answer("", status: "307 Temporary Redirect", headers: "location: \(location)\r\n"))
        }
        defer { server.stop() }
        let transfer = try server.post(transport)
        #expect(transfer.status == 307)
        #expect(transfer.header("location") == location)
        transfer.cancel()
        #expect(server.requests.count == 1)
    }

    @Test func `the connection is used again after a complete answer`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("again")) }
        }
        defer { server.stop() }
        var reused: [Bool] = []
        for _ in 0..<3 {
            var transfer = try server.post(transport)
            #expect(try transfer.readAll(bytesMax: 10) == Array("again".utf8))
            reused.append(transfer.reusedConnection)
        }
        #expect(reused == [false, true, true])
        #expect(server.connectionCount == 1)
    }

    @Test func `a reader that stops after the last event still leaves a warm connection`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil {
                peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n")
                pause(milliseconds: 20)
                peer.send("0\r\n\r\n")
            }
        }
        defer { server.stop() }
        for _ in 0..<2 {
            var transfer = try server.post(transport)
            var buffer: [UInt8] = []
            #expect(try transfer.read(into: &buffer) == .data(6))
            pause(milliseconds: 300)
        }
        #expect(server.connectionCount == 1)
    }

    @Test func `letting go of an unfinished answer closes its connection`() throws {
        let closed = Signal()
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            if peer.waitForClose() { closed.wake() }
        }
        defer { server.stop() }
        var holder = Holder()
        holder.transfer = try server.post(transport)
        var buffer: [UInt8] = []
        #expect(try holder.transfer?.read(into: &buffer) == .data(1))
        #expect(holder.transfer?.status == 200)
        holder.transfer = nil
        #expect(closed.wait(until: .after(seconds: 5)))
    }

    @Test func `silence is told to a reader that wants to know, and nothing is lost by it`() throws {
        let mayGoOn = Signal()
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
            mayGoOn.wait()
            peer.send("b")
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        var buffer: [UInt8] = []
        #expect(try transfer.read(into: &buffer) == .data(1))
        #expect(try transfer.read(into: &buffer, idleMilliseconds: 20) == .idle)
        #expect(try transfer.read(into: &buffer, idleMilliseconds: 0) == .idle)
        mayGoOn.wake()
        #expect(try transfer.read(into: &buffer) == .data(1))
        #expect(try transfer.read(into: &buffer) == .end)
        #expect(try transfer.read(into: &buffer) == .end)
        #expect(buffer == Array("ab".utf8))
    }

    @Test func `a large body arrives whole`() throws {
        let size = 48 << 20
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\n\r\n")
            let block = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 % 251) }
            for _ in 0..<(size / block.count) where !peer.send(block) { return }
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        var buffer: [UInt8] = []
        var position = 0
        while try transfer.read(into: &buffer) != .end {
            #expect(buffer.first == UInt8(truncatingIfNeeded: position % 65_536 % 251))
            position += buffer.count
            buffer.removeAll(keepingCapacity: true)
        }
        #expect(position == size)
    }

    @Test func `a slow reader holds the sender back instead of filling memory`() throws {
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(64 << 20)\r\n\r\n")
            let block = [UInt8](repeating: 0x61, count: 65_536)
            for _ in 0..<1_024 where !peer.send(block) { return }
        }
        defer { server.stop() }
        var transfer = try server.post(transport)
        var buffer: [UInt8] = []
        for _ in 0..<50 {
            pause(milliseconds: 2)
            guard case .data(let count) = try transfer.read(into: &buffer) else { break }
            #expect(count <= 256 * 1_024)
        }
        #expect(transfer.bytesReceived == buffer.count)
    }

    @Test func `a full buffer pauses the transfer and loses nothing`() throws {
        var configuration = HTTPTransport.Configuration()
        configuration.bufferedBytesMax = 10
        let text = (0..<2_000).map { "<\($0)>" }
        let server = try ScriptedServer { peer in
            _ = peer.readRequest()
            let chunks = text.map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined()
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n")
        }
        defer { server.stop() }
        let transport = HTTPTransport(configuration: configuration)
        #expect(try server.exchange(transport) == text.joined())
    }
}
