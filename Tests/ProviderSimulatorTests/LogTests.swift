import Foundation
import HTTPClient
import ProviderSimulator
import Testing
import Threads

struct LogTests {
    @Test func `a line names the trace, the attempt and the end of the credential`() throws {
        let simulator = try SimulatorHarness()
        let headers = [
            (name: "Authorization", value: "Bearer sk-secret-abcd"),
            (name: "X-Tollgate-Trace", value: "trace \"1\"\t"),
            (name: "x-tollgate-attempt", value: "attempt-2"),
        ]
        var transfer = try simulator.chat("sim-ok", headers: headers)
        _ = try transfer.readAll(bytesMax: 10_000)
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "trace") == "trace \"1\"\t")
        #expect(value(line, "attempt") == "attempt-2")
        #expect(value(line, "credential_tail") == "abcd")
        let moment = try #require(value(line, "at", as: String.self))
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        let date = try #require(formatter.date(from: moment))
        #expect(abs(date.timeIntervalSinceNow) < 60)
    }

    @Test func `a client that leaves a stream is logged at once, with the chunks it was sent`() throws {
        let simulator = try SimulatorHarness {
            $0.chunks = 1_000
            $0.chunkMilliseconds = 10
        }
        var transfer = try simulator.chat("sim-ok", #","stream":true"#)
        var buffer: [UInt8] = []
        while !String(decoding: buffer, as: UTF8.self).contains("tok5 ") {
            _ = try transfer.read(into: &buffer)
        }
        transfer.cancel()
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "outcome") == "cancelled")
        let sent = try #require(value(line, "completion_tokens", as: Int.self))
        let seen = String(decoding: buffer, as: UTF8.self).components(separatedBy: "\"tok").count - 1
        #expect((seen..<seen + 50).contains(sent))
        #expect(value(line, "closed_by_client_after_ms", as: Int.self) ?? 0 >= 40)
    }

    @Test func `a reader that stops reading holds the stream back`() throws {
        let simulator = try SimulatorHarness { $0.chunks = 200_000 }
        var transfer = try simulator.chat("sim-ok", #","stream":true"#)
        var buffer: [UInt8] = []
        _ = try transfer.read(into: &buffer)
        usleep(200_000)
        transfer.cancel()
        let line = try #require(try simulator.log(count: 1).first)
        #expect(value(line, "outcome") == "cancelled")
        #expect((1..<100_000).contains(value(line, "completion_tokens", as: Int.self) ?? 0))
    }

    @Test func `calls still open when the provider stops are logged`() throws {
        let simulator = try SimulatorHarness()
        let request = HTTPRequest(
            url: "http://127.0.0.1:\(simulator.provider.port)/v1/chat/completions",
            body: Array(#"{"model":"sim-hang","messages":[]}"#.utf8))
        let timeouts = HTTPTimeouts(
            connectMilliseconds: 9_000, firstByteMilliseconds: 9_000, gapMilliseconds: 9_000,
            totalMilliseconds: 9_000)
        let thread = try WorkerThread(name: "client") { [transport = simulator.transport] in
            // It must fail: the provider goes away without answering.
            _ = try? transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true).status
        }
        usleep(200_000)
        simulator.stop()
        thread.join()
        #expect(value(try simulator.log(count: 1).first, "outcome") == "hung")
    }

    @Test func `two thousand slow streams at once are all answered to their end`() throws {
        let simulator = try SimulatorHarness {
            $0.chunks = 6
            $0.chunkMilliseconds = 300
        }
        let port = simulator.provider.port
        let body = Array(
            #"{"model":"sim-ok","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#.utf8)
        let started = Deadline.now
        let threads = try (0..<2_000).map { _ in
            try WorkerThread(name: "stream", stackBytes: 256 * 1_024) { [transport = simulator.transport] in
                let request = HTTPRequest(url: "http://127.0.0.1:\(port)/v1/chat/completions", body: body)
                let timeouts = HTTPTimeouts(
                    connectMilliseconds: 60_000, firstByteMilliseconds: 60_000, gapMilliseconds: 60_000,
                    totalMilliseconds: 90_000)
                // Whether all of it was sent and taken is read from the provider's log.
                guard
                    var transfer = try? transport.start(
                        request, timeouts: timeouts, allowsPrivateAddresses: true)
                else { return }
                _ = try? transfer.readAll(bytesMax: 100_000)
            }
        }
        for thread in threads { thread.join() }
        let elapsed = started.elapsedNanoseconds / 1_000_000
        let lines = try simulator.log(count: 2_000)
        #expect(
            lines.count { value($0, "outcome") == "complete" && value($0, "completion_tokens") == 6 } == 2_000
        )
        #expect(Set(lines.compactMap { value($0, "id", as: String.self) }).count == 2_000)
        // One after another would take 3,000 s.
        #expect(elapsed < 60_000)
    }
}
