import Glibc
import HTTPClient
import TestTools
import Testing
import Threads

struct ManyTransfersTests {
    @Test func `two hundred threads share one transport`() throws {
        let server = try ScriptedServer { peer in
            while let request = peer.readRequest() {
                let body = request.split(separator: "\r\n\r\n").last.map(String.init) ?? ""
                peer.send(answer(body))
            }
        }
        defer { server.stop() }
        let transport = HTTPTransport()
        let failures = Locked<[String]>([])
        let threads = try (0..<200).map { thread in
            try WorkerThread(name: "client-\(thread)") {
                for round in 0..<20 {
                    let text = "thread \(thread) round \(round)"
                    // Any error is a failure of this test, reported as what came instead of the answer.
                    let answer = (try? server.exchange(transport, body: text)) ?? "an error"
                    if answer != text { failures.withLock { $0.append("\(text): \(answer)") } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(server.requests.count == 4_000)
        #expect(server.connectionCount <= 200)
    }

    @Test func `descriptors above a thousand are safe`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("high")) }
        }
        defer { server.stop() }
        let fillers = (0..<1_100).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
        defer { for descriptor in fillers where descriptor >= 0 { close(descriptor) } }
        try #require(fillers.max() ?? 0 > 1_024)
        var pair: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
        let watched = pair[0]
        defer { for descriptor in pair { close(descriptor) } }
        let request = HTTPRequest(url: server.url())
        var transfer = try HTTPTransport().start(
            request, timeouts: patient, watching: [watched], allowsPrivateAddresses: true)
        #expect(try transfer.readAll(bytesMax: 10) == Array("high".utf8))
    }

    @Test func `no more connections stay idle than configured`() throws {
        var configuration = HTTPTransport.Configuration()
        configuration.idleConnectionsMax = 2
        let transport = HTTPTransport(configuration: configuration)
        let closed = Locked(0)
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("x")) }
            closed.withLock { $0 += 1 }
        }
        defer { server.stop() }
        do {
            var first = try server.post(transport)
            var second = try server.post(transport)
            var third = try server.post(transport)
            _ = try first.readAll(bytesMax: 1)
            _ = try second.readAll(bytesMax: 1)
            _ = try third.readAll(bytesMax: 1)
        }
        #expect(Eventually.holds { closed.withLock { $0 } > 0 })
        pause(milliseconds: 50)
        #expect(closed.withLock { $0 } == 1)
    }
}
