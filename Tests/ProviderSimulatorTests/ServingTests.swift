import Foundation
import Glibc
import HTTPClient
import ProviderSimulator
import TestTools
import Testing
import Threads

struct ServingTests {
    /// Sends bytes over a connection of its own and returns what came until `count` answers or the end.
    ///
    /// The bytes go out in pieces; `awaits` waits for something to come back before each further piece.
    private func exchange(
        _ port: UInt16, pieces: [[UInt8]], awaits: Bool = false, answers count: Int
    ) throws -> String {
        let descriptor = try #require(TestSocket.connect(port: port, timeoutSeconds: 20))
        defer { close(descriptor) }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var text = ""
        func receive() -> Bool {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let received = recv(descriptor, &buffer, buffer.count, 0)
            text += String(decoding: buffer.prefix(max(received, 0)), as: UTF8.self)
            return received > 0
        }
        for (index, piece) in pieces.enumerated() {
            if awaits && index > 0 { try #require(receive()) }
            try #require(TestSocket.send(piece, on: descriptor))
            if pieces.count > 1 { usleep(200) }
        }
        while text.components(separatedBy: "HTTP/1.1 ").count <= count || !text.hasSuffix("}") {
            guard receive() else { break }
        }
        return text
    }

    private func request(_ body: String, headers: String = "") -> [UInt8] {
        Array(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                .utf8)
    }

    @Test func `a request may arrive one byte at a time`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 1 }
        let bytes = request(#"{"messages":[{"content":"ä b"}],"model":"m\"q"}"#)
        let text = try exchange(simulator.provider.port, pieces: bytes.map { [$0] }, answers: 1)
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains(#""model":"m\"q""#))
        #expect(text.contains(#""prompt_tokens":2"#))
    }

    @Test func `pipelined requests are answered in their order`() throws {
        let simulator = try SimulatorHarness { $0.ttfbMilliseconds = 5 }
        let requests = (1...20).map { request(#"{"model":"model-\#($0)","messages":[]}"#) }
        let health = Array("GET /healthz HTTP/1.1\r\n\r\n".utf8)
        let all = Array((requests + [health, health]).joined())
        let text = try exchange(simulator.provider.port, pieces: [all], answers: 22)
        let models = text.components(separatedBy: "\"model\":\"").dropFirst().compactMap {
            $0.split(separator: "\"").first
        }
        #expect(models == (1...20).map { "model-\($0)" })
        #expect(text.components(separatedBy: #"{"status":"ok"}"#).count == 3)
    }

    @Test func `a client that waits for permission to send its body gets it`() throws {
        let simulator = try SimulatorHarness()
        let bytes = request(#"{"model":"m","messages":[]}"#, headers: "Expect: 100-continue\r\n")
        let text = try exchange(
            simulator.provider.port, pieces: [Array(bytes.dropLast(5)), Array(bytes.suffix(5))], awaits: true,
            answers: 2)
        #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
    }

    @Test(arguments: ["garbage\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"])
    func `what is not HTTP is refused and the connection closed`(text: String) throws {
        let simulator = try SimulatorHarness()
        let answer = try exchange(simulator.provider.port, pieces: [Array(text.utf8)], answers: 9)
        #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
    }

    @Test(arguments: [
        "", "[]", "{", #"{"model":1}"#, #"{"messages":[]}"#, #"{"model":"m","max_tokens":0}"#,
        #"{"model":"m","n":0}"#, #"{"model":"m","stream":"yes"}"#, #"{"model":"m"} x"#,
        #"{"model":"m","x":"# + String(repeating: "[", count: 100_000),
    ]) func `a body that is no chat request is refused`(body: String) throws {
        let simulator = try SimulatorHarness()
        #expect(try simulator.start(body: body).status == 400)
    }

    @Test func `models and health can be asked for`() throws {
        let simulator = try SimulatorHarness()
        var models = try simulator.start(path: "/v1/models?limit=1", method: "GET")
        let list = try JSONSerialization.jsonObject(with: Data(try models.readAll(bytesMax: 10_000)))
        #expect(value(list, "data", 0, "id") == "sim-ok")
        #expect(value(list, "data", as: [Any].self)?.count == 12)
        #expect(try simulator.start(path: "/healthz", method: "GET").status == 200)
        #expect(try simulator.start(path: "/v1/nothing", method: "GET").status == 404)
        #expect(try simulator.log(count: 0).isEmpty)
    }

    @Test func `a port that is taken is an error`() throws {
        let simulator = try SimulatorHarness()
        var options = SimulatorOptions()
        options.port = simulator.provider.port
        #expect(throws: SimulatorError.cannotListen(EADDRINUSE)) {
            _ = try SimulatedProvider(options: options)
        }
    }

    @Test(arguments: [
        (#"{"messages":[]}"#, 1),
        (#"{"messages":[{"content":"a b\nc\td"},{"content":null},{"role":"x"}]}"#, 4),
        (#"{"messages":[{"content":[{"type":"text","text":" a  b "},{"image_url":{"url":"x y z"}}]}]}"#, 2),
        (#"{"x":{"messages":[{"content":"a b"}]},"messages":[{"content":"one,two \"three\" \u00e4"}]}"#, 3),
    ]) func `prompt tokens are the words of all contents`(body: String, count: Int) {
        #expect(SimulatedProvider.promptTokens(of: Array(body.utf8)) == count)
    }
}
