import Foundation
import HTTPClient
import ProviderSimulator
import TestTools
import Testing
import Threads

struct BehaviourTests {
    @Test(arguments: ["sim-ok", "gpt-4o"]) func `a plain answer has exact usage`(model: String) throws {
        let simulator = try SimulatorHarness { $0.chunks = 3 }
        let (status, body) = try simulator.json(model)
        #expect(status == 200)
        #expect(value(body, "object") == "chat.completion")
        #expect(value(body, "model") == model)
        #expect(value(body, "choices", 0, "message", "content") == "tok1 tok2 tok3 ")
        #expect(value(body, "choices", 0, "finish_reason") == "stop")
        #expect(value(body, "usage", "prompt_tokens") == 3)
        #expect(value(body, "usage", "completion_tokens") == 3)
        #expect(value(body, "usage", "total_tokens") == 6)
        #expect(value(body, "usage", "prompt_tokens_details", "cached_tokens") == 0)
        #expect(value(body, "usage", "completion_tokens_details", "reasoning_tokens") == 0)
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "id") == value(body, "id", as: String.self))
        #expect(value(line, "outcome") == "complete")
        #expect(value(line, "model") == model)
        #expect(value(line, "stream") == false)
        #expect(value(line, "prompt_tokens") == 3)
        #expect(value(line, "completion_tokens") == 3)
    }

    @Test func `a stream is a role, the content, a finish, and the usage if asked for`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 2 }
        let events = try simulator.events("sim-ok", #","stream_options":{"include_usage":true}"#)
        #expect(events.count == 5)
        #expect(value(events[0], "choices", 0, "delta", "role") == "assistant")
        #expect(value(events[1], "choices", 0, "delta", "content") == "tok1 ")
        #expect(value(events[2], "choices", 0, "delta", "content") == "tok2 ")
        #expect(value(events[3], "choices", 0, "finish_reason") == "stop")
        #expect(value(events[4], "choices", as: [Any].self)?.isEmpty == true)
        #expect(value(events[4], "usage", "completion_tokens") == 2)
        #expect(Set(events.compactMap { value($0, "id", as: String.self) }).count == 1)
        let silent = try simulator.events("sim-ok")
        #expect(silent.count == 4)
        #expect(silent.allSatisfy { $0["usage"] == nil })
        #expect(try simulator.log(count: 2).map { value($0, "completion_tokens") } == [2, 2])
    }

    @Test(arguments: ["max_tokens", "max_completion_tokens"])
    func `an output cap ends the answer with length`(
        field: String
    ) throws {
        let simulator = try SimulatorHarness()
        let (_, body) = try simulator.json("sim-ok", #","\#(field)":4"#)
        #expect(value(body, "usage", "completion_tokens") == 4)
        #expect(value(body, "choices", 0, "finish_reason") == "length")
        let events = try simulator.events("sim-ok", #","\#(field)":4"#)
        #expect(value(events.last, "choices", 0, "finish_reason") == "length")
        #expect(try simulator.log(count: 2).map { value($0, "completion_tokens") } == [4, 4])
    }

    @Test func `every choice is counted`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 5 }
        let (_, body) = try simulator.json("sim-ok", #","n":3"#)
        #expect(value(body, "choices", as: [Any].self)?.count == 3)
        #expect(value(body, "usage", "completion_tokens") == 15)
        let events = try simulator.events("sim-ok", #","n":3,"stream_options":{"include_usage":true}"#)
        #expect(events.count == 3 + 15 + 3 + 1)
        #expect(value(events.last, "usage", "completion_tokens") == 15)
        #expect(try simulator.log(count: 2).map { value($0, "completion_tokens") } == [15, 15])
    }

    @Test(arguments: [
        ("sim-500", 500, "server_error"), ("sim-429", 429, "requests"),
        ("sim-unauthorized", 401, "invalid_request_error"), ("sim-nonsense", 404, "invalid_request_error"),
    ]) func `a failing model fails in OpenAI's form and is logged`(model: String, status: Int, type: String)
        throws
    {
        let simulator = try SimulatorHarness()
        var transfer = try simulator.chat(model, #","stream":true"#)
        #expect(transfer.status == status)
        #expect(transfer.header("retry-after") == (status == 429 ? "1" : nil))
        let body = try JSONSerialization.jsonObject(with: Data(try transfer.readAll(bytesMax: 10_000)))
        #expect(value(body, "error", "type") == type)
        #expect(value(body, "error", "message", as: String.self) != nil)
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "outcome") == "error")
        #expect(value(line, "completion_tokens") == 0)
    }

    @Test func `slow answers keep their distance`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 5 }
        let started = Deadline.now
        _ = try simulator.events("sim-slow")
        #expect(started.elapsedNanoseconds >= 200_000_000)
    }

    @Test func `the first byte waits as long as configured`() throws {
        let simulator = try SimulatorHarness { $0.ttfbMilliseconds = 120 }
        #expect(try simulator.chat("sim-ok").firstByteMicroseconds >= 120_000)
        #expect(try simulator.chat("sim-ok", #","stream":true"#).firstByteMicroseconds >= 120_000)
    }

    @Test func `a hanging call ends when the client does, and is logged then`() throws {
        let simulator = try SimulatorHarness()
        #expect(throws: HTTPClientError.timeout(.firstByte)) {
            let timeouts = HTTPTimeouts(
                connectMilliseconds: 9_000, firstByteMilliseconds: 100, gapMilliseconds: 1,
                totalMilliseconds: 9_000)
            let request = HTTPRequest(
                url: "http://127.0.0.1:\(simulator.provider.port)/v1/chat/completions",
                body: Array(#"{"model":"sim-hang","messages":[]}"#.utf8))
            _ = try simulator.transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true)
                .status
        }
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "outcome") == "hung")
        #expect(value(line, "prompt_tokens") == 1)
        #expect(value(line, "closed_by_client_after_ms", as: Int.self) ?? 0 >= 50)
    }

    @Test(arguments: [true, false]) func `a cut answer is lost after three tokens`(isStream: Bool) throws {
        let simulator = try SimulatorHarness()
        var transfer = try simulator.chat("sim-cut", isStream ? #","stream":true"# : "")
        var buffer: [UInt8] = []
        #expect(throws: HTTPClientError.connectionLost(answerBegun: true)) {
            while try transfer.read(into: &buffer) != .end {}
        }
        transfer.cancel()
        let text = String(decoding: buffer, as: UTF8.self)
        #expect(text.contains("tok3 ") && !text.contains("tok4 "))
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "outcome") == "cut")
        #expect(value(line, "completion_tokens") == 3)
    }

    @Test func `usage can be missing, strange or detailed`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 8 }
        let asked = #","stream_options":{"include_usage":true}"#
        #expect(try simulator.json("sim-no-usage").body["usage"] == nil)
        #expect(try simulator.events("sim-no-usage", asked).allSatisfy { $0["usage"] == nil })
        #expect(value(try simulator.json("sim-bad-usage").body, "usage", "prompt_tokens") == -5)
        #expect(
            value(try simulator.events("sim-bad-usage", asked).last, "usage", "completion_tokens") == "many")
        let (_, body) = try simulator.json("sim-cached")
        #expect(value(body, "usage", "prompt_tokens_details", "cached_tokens") == 2)
        #expect(value(body, "usage", "completion_tokens_details", "reasoning_tokens") == 2)
        #expect(value(body, "usage", "completion_tokens") == 8)
    }

    @Test(arguments: [true, false]) func `garbage comes with status 200`(isStream: Bool) throws {
        let simulator = try SimulatorHarness()
        let (status, text) = try simulator.answer("sim-garbage", isStream ? #","stream":true"# : "")
        #expect(status == 200)
        #expect(throws: (any Error).self) { try JSONSerialization.jsonObject(with: Data(text.utf8)) }
        #expect(!text.contains("[DONE]"))
        #expect(value(try simulator.log(count: 1).first, "outcome") == "error")
    }

    @Test func `held calls answer once they are released, all of them`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 2 }
        let port = simulator.provider.port
        let threads = try (0..<20).map { _ in
            try WorkerThread(name: "held") { [transport = simulator.transport] in
                let request = HTTPRequest(
                    url: "http://127.0.0.1:\(port)/v1/chat/completions",
                    body: Array(#"{"model":"sim-hold","messages":[]}"#.utf8))
                let timeouts = HTTPTimeouts(
                    connectMilliseconds: 30_000, firstByteMilliseconds: 30_000, gapMilliseconds: 30_000,
                    totalMilliseconds: 30_000)
                // Whether it was answered is read from the provider's log.
                _ = try? transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true).status
            }
        }
        #expect(try Eventually.holds { try simulator.control("GET", "/_control/held") == #"{"held":20}"# })
        #expect(try simulator.log(count: 0).isEmpty)
        #expect(try simulator.control("POST", "/_control/release") == #"{"released":20}"#)
        for thread in threads { thread.join() }
        #expect(try simulator.log(count: 20).count { value($0, "outcome") == "complete" } == 20)
        #expect(try simulator.control("POST", "/_control/release") == #"{"released":0}"#)
    }
}
