import Foundation
import Glibc
import HTTPClient
import ProviderSimulator
import TestTools
import Testing
import Threads

struct ManyStreamsTests {
    /// A connection that has asked for a stream and reads it to its end.
    private struct Client {
        let descriptor: Int32
        var received: [UInt8] = []
        var hasEnded = false

        init(port: UInt16, request: [UInt8]) throws {
            descriptor = try #require(TestSocket.connect(port: port), "errno \(errno)")
            try #require(TestSocket.send(request, on: descriptor))
        }

        mutating func receive(_ buffer: inout [UInt8]) {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            hasEnded = count <= 0
            received += buffer.prefix(max(count, 0))
        }
    }

    /// Lets every stream be read as it comes until all have ended.
    private func readAll(_ clients: inout [Client], until deadline: Deadline) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let open = clients.indices.filter { !clients[$0].hasEnded }
            var entries = open.map { pollfd(fd: clients[$0].descriptor, events: Int16(POLLIN), revents: 0) }
            guard !open.isEmpty,
                poll(&entries, nfds_t(entries.count), deadline.remainingMilliseconds) > 0
            else { return }
            for (index, entry) in zip(open, entries) where entry.revents != 0 {
                clients[index].receive(&buffer)
            }
        }
    }

    @Test func `two thousand slow streams run at once on one thread, each whole and in order`() throws {
        let count = 2_000
        DescriptorLimit.raise()
        let simulator = try SimulatorHarness {
            $0.chunks = 8
            $0.chunkMilliseconds = 50
        }
        let body = #"{"model":"sim-hold","stream":true,"messages":[{"role":"user","content":"one"}]}"#
        let request = Array(
            "POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                .utf8)
        var clients: [Client] = []
        defer { for client in clients { close(client.descriptor) } }
        for _ in 0..<count { clients.append(try Client(port: simulator.provider.port, request: request)) }
        // All wait, and then all stream together.
        let deadline = Deadline.after(seconds: 60)
        #expect(
            try Eventually.holds { try simulator.control("GET", "/_control/held") == #"{"held":\#(count)}"# })
        #expect(try simulator.control("POST", "/_control/release") == #"{"released":\#(count)}"#)
        readAll(&clients, until: deadline)
        let expected = (1...8).map { "tok\($0) " }
        let whole = clients.count { client in
            let text = String(decoding: client.received, as: UTF8.self)
            let tokens = text.components(separatedBy: #""content":""#).dropFirst(2).compactMap {
                $0.split(separator: "\"").first.map { String($0) }
            }
            return client.hasEnded && tokens == expected && text.contains("data: [DONE]")
        }
        #expect(whole == count)
        let lines = try simulator.log(count: count)
        #expect(lines.count == count)
        #expect(
            lines.allSatisfy { value($0, "completion_tokens") == 8 && value($0, "outcome") == "complete" })
    }
}
