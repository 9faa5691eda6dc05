import Glibc
import HTTPClient
import Testing
import Threads

struct ResendTests {
    private let transport = HTTPTransport()

    @Test(arguments: [2, 200_000], [true, false])
    func `a request is not sent again when a used connection dies`(
        bodyBytes: Int, byReset: Bool
    ) throws {
        let server = try ScriptedServer { peer in
            guard peer.readRequest() != nil else { return }
            peer.send(answer("one"))
            guard peer.readRequest() != nil else { return }
            // Executed, and then no answer.
            if byReset { peer.reset() }
        }
        defer { server.stop() }
        #expect(try server.exchange(transport) == "one")
        let body = String(repeating: "x", count: bodyBytes)
        #expect(throws: HTTPClientError.connectionLost(answerBegun: false)) {
            _ = try server.exchange(transport, body: body)
        }
        pause(milliseconds: 50)
        #expect(server.requests.count == 2)
        #expect(server.connectionCount == 1)
        #expect(try server.exchange(transport) == "one")
    }

    @Test func `an idle connection that was closed meanwhile is replaced`() throws {
        let server = try ScriptedServer { peer in
            guard peer.readRequest() != nil else { return }
            peer.send(answer("answer \(peer.number)"))
        }
        defer { server.stop() }
        #expect(try server.exchange(transport) == "answer 0")
        pause(milliseconds: 300)
        #expect(try server.exchange(transport) == "answer 1")
        #expect(server.requests.count == 2)
    }

    @Test func `bytes that come after an answer are never taken for the next one`() throws {
        let server = try ScriptedServer { peer in
            guard peer.readRequest() != nil else { return }
            peer.send(answer("mine"))
            pause(milliseconds: 30)
            peer.send(answer("not yours"))
            _ = peer.readRequest()
        }
        defer { server.stop() }
        #expect(try server.exchange(transport) == "mine")
        pause(milliseconds: 400)
        #expect(try server.exchange(transport) == "mine")
        #expect(server.connectionCount == 2)
    }

    @Test func `a connection idle for too long is not used again`() throws {
        let (transport, server) = try idlingForASecond()
        defer { server.stop() }
        _ = try server.exchange(transport)
        pause(milliseconds: 1_100)
        _ = try server.exchange(transport)
        #expect(server.connectionCount == 2)
    }

    @Test func `only connections that were idle for too long are closed`() throws {
        let (transport, server) = try idlingForASecond()
        defer { server.stop() }
        _ = try server.exchange(transport)
        #expect(transport.closeExpired() == 0)
        pause(milliseconds: 1_100)
        #expect(transport.closeExpired() == 1)
        #expect(transport.closeExpired() == 0)
    }

    /// A transport that keeps idle connections for a second, and a server that keeps them for ever.
    private func idlingForASecond() throws -> (HTTPTransport, ScriptedServer) {
        var configuration = HTTPTransport.Configuration()
        configuration.idleSecondsMax = 1
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("x")) }
        }
        return (HTTPTransport(configuration: configuration), server)
    }
}
