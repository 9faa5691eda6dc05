import Foundation
import HTTPClient
import PrivateServers
import ProviderSimulator
import TestTools
import Testing
import Threads

/// A running simulated provider with a log of its own, and a client for it.
final class SimulatorHarness {
    let provider: SimulatedProvider
    let transport = HTTPTransport()
    private let thread: WorkerThread
    private let directory: TemporaryDirectory
    private var logPath: String { directory.path + "/log" }
    private var isStopped = false

    init(_ change: (inout SimulatorOptions) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        var options = SimulatorOptions()
        options.logPath = directory.path + "/log"
        change(&options)
        let provider = try SimulatedProvider(options: options)
        self.provider = provider
        thread = try WorkerThread(name: "simulator") { provider.run() }
    }

    deinit {
        stop()
    }

    /// Stops the provider and waits until its log is complete.
    func stop() {
        guard !isStopped else { return }
        isStopped = true
        provider.stop()
        thread.join()
    }

    /// The lines of the log, once there are at least `count` or five seconds have passed.
    func log(count: Int) throws -> [[String: Any]] {
        var lines: [Substring] = []
        _ = try Eventually.holds(seconds: 5) {
            lines = try String(contentsOfFile: logPath, encoding: .utf8).split(separator: "\n")
            return lines.count >= count
        }
        return try lines.map { line in
            let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require(value as? [String: Any])
        }
    }

    /// Begins a call.
    func start(
        path: String = "/v1/chat/completions", method: String = "POST", body: String = "",
        headers: [(name: String, value: String)] = []
    ) throws(HTTPClientError) -> HTTPTransfer {
        let request = HTTPRequest(
            method: method, url: "http://127.0.0.1:\(provider.port)\(path)", headers: headers,
            body: Array(body.utf8))
        let timeouts = HTTPTimeouts(
            connectMilliseconds: 30_000, firstByteMilliseconds: 30_000, gapMilliseconds: 30_000,
            totalMilliseconds: 60_000)
        return try transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true)
    }

    /// Asks for something that is not a chat, and returns the body.
    func control(_ method: String, _ path: String) throws -> String {
        var transfer = try start(path: path, method: method)
        return String(decoding: try transfer.readAll(bytesMax: 100), as: UTF8.self)
    }

    /// Begins a chat with one message of three words.
    func chat(
        _ model: String, _ fields: String = "", headers: [(name: String, value: String)] = []
    ) throws(HTTPClientError) -> HTTPTransfer {
        let body = #"{"model":"\#(model)","messages":[{"role":"user","content":"one two three"}]\#(fields)}"#
        return try start(body: body, headers: headers)
    }

    /// A whole chat: its status and text.
    func answer(_ model: String, _ fields: String = "") throws -> (status: Int, text: String) {
        var transfer = try chat(model, fields)
        return (transfer.status, String(decoding: try transfer.readAll(bytesMax: 1 << 24), as: UTF8.self))
    }

    /// A whole chat's JSON.
    func json(_ model: String, _ fields: String = "") throws -> (status: Int, body: [String: Any]) {
        let (status, text) = try answer(model, fields)
        return (status, try parse(text))
    }

    /// A whole stream's events, the last without its `[DONE]`.
    func events(_ model: String, _ fields: String = "") throws -> [[String: Any]] {
        let (status, text) = try answer(model, #","stream":true"# + fields)
        #expect(status == 200)
        var lines = text.components(separatedBy: "\n\n")
        #expect(lines.popLast() == "")
        #expect(lines.popLast() == "data: [DONE]")
        return try lines.map { line in
            #expect(line.hasPrefix("data: "))
            return try parse(String(line.dropFirst(6)))
        }
    }

    private func parse(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }
}

/// What lies at a path of keys and indexes inside JSON.
func value<Value>(_ json: Any?, _ path: Any..., as type: Value.Type = Value.self) -> Value? {
    var current = json
    for step in path {
        if let key = step as? String {
            current = (current as? [String: Any])?[key]
        } else if let index = step as? Int {
            guard let list = current as? [Any], index < list.count else { return nil }
            current = list[index]
        }
    }
    return current as? Value
}
