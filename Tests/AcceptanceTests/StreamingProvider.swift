import Glibc
import TestSupport
import TestTools
import Testing

/// A provider whose every byte a test sends itself, in step with what its client reads.
final class StreamingProvider {
    /// The port it listens on.
    let port: UInt16
    private let listener: Int32

    /// Begins listening.
    init() throws {
        (listener, port) = try TestSocket.listen(isBlocking: false)
    }

    deinit {
        close(listener)
    }

    /// Whether somebody has connected whose call was not taken yet.
    var isCalled: Bool { StreamingProvider.isReady(listener, milliseconds: 0) }

    /// Turns away those who have connected; returns whether there was anybody.
    func turnsAway() -> Bool {
        var wasCalled = false
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return wasCalled }
            close(descriptor)
            wasCalled = true
        }
    }

    /// Takes the next call, with its whole request.
    func call(sourceLocation: SourceLocation = #_sourceLocation) throws -> Call {
        let isCalled = StreamingProvider.isReady(listener, milliseconds: 15_000)
        try #require(isCalled, "the provider is not called", sourceLocation: sourceLocation)
        let descriptor = accept(listener, nil, nil)
        try #require(descriptor >= 0, sourceLocation: sourceLocation)
        return try Call(descriptor)
    }

    fileprivate static func isReady(_ descriptor: Int32, milliseconds: Int32) -> Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, milliseconds) > 0
    }

    /// One request to the provider, on a connection of its own.
    final class Call {
        /// The request's head and body.
        let request: String
        private var descriptor: Int32

        fileprivate init(_ descriptor: Int32) throws {
            self.descriptor = descriptor
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while !Call.isComplete(bytes) {
                let isReady = StreamingProvider.isReady(descriptor, milliseconds: 15_000)
                let count = isReady ? recv(descriptor, &buffer, buffer.count, 0) : 0
                guard count > 0 else { break }
                bytes += buffer[..<count]
            }
            request = String(decoding: bytes, as: UTF8.self)
            try #require(Call.isComplete(bytes), "the gateway's request is incomplete")
        }

        deinit {
            cut()
        }

        private static func isComplete(_ bytes: [UInt8]) -> Bool {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n") else { return false }
            let lengths = text[..<end.lowerBound].lowercased().split(separator: "\r\n").compactMap { line in
                line.hasPrefix("content-length: ") ? Int(line.dropFirst(16)) : nil
            }
            return text[end.upperBound...].utf8.count >= lengths.first ?? 0
        }

        /// Sends text as it is.
        func send(_ text: String) {
            send(Array(text.utf8))
        }

        private func send(_ bytes: [UInt8]) {
            TestSocket.send(bytes, on: descriptor)
        }

        /// Answers with JSON.
        func answer(_ status: String, _ body: String) {
            send(
                "HTTP/1.1 \(status)\r\ncontent-type: application/json\r\nconnection: close\r\n"
                    + "content-length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        /// Sends the head of a stream.
        func begin() {
            send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
                    + "transfer-encoding: chunked\r\n\r\n")
        }

        /// Sends part of a stream as it is.
        func frame(_ text: String) {
            send(String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n")
        }

        /// Sends one byte of a stream.
        func frame(_ byte: UInt8) {
            send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8))
        }

        /// Sends an event.
        func event(_ data: String) {
            frame("data: \(data)\n\n")
        }

        /// Sends a chunk with a piece of text.
        func piece(_ text: String) {
            event(Call.chunk(#"[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":null}]"#))
        }

        /// Sends the chunk that says why the only choice ended.
        func stop() {
            event(Call.chunk(#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#))
        }

        /// Sends the chunk with the usage.
        func usage(prompt: Int, completion: Int) {
            event(
                Call.chunk(
                    "[]",
                    #","usage":{"prompt_tokens":\#(prompt),"completion_tokens":\#(completion),"total_tokens":\#(prompt + completion)}"#
                ))
        }

        /// Ends the stream, with or without `[DONE]`.
        func end(isDone: Bool = true) {
            if isDone { event("[DONE]") }
            send("0\r\n\r\n")
        }

        /// Closes the connection wherever the answer is.
        func cut() {
            guard descriptor >= 0 else { return }
            close(descriptor)
            descriptor = -1
        }

        /// Whether the gateway has closed the connection, or does so in time.
        func isLeft(milliseconds: Int32) -> Bool {
            guard StreamingProvider.isReady(descriptor, milliseconds: milliseconds) else { return false }
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, 0) <= 0
        }

        private static func chunk(_ choices: String, _ more: String = "") -> String {
            #"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":\#(choices)\#(more)}"#
        }
    }
}

/// A gateway with a model that a scripted provider serves, and a tenant that asks for it.
struct StreamingScene {
    let gateway: TestGateway
    let provider: StreamingProvider
    let caller: EndpointsCaller
    let model: String

    /// Adds the provider and the model under a new name, by default at the gateway that tests share.
    init(_ label: String, at gateway: TestGateway? = nil, balance: String = "10") throws {
        self.gateway = try gateway ?? EndpointsGateway.shared()
        provider = try StreamingProvider()
        model = "\(label)-\(provider.port)"
        caller = try EndpointsCaller(label, at: self.gateway, balance: balance)
        try EndpointsCatalog.addProvider(model, port: provider.port, at: self.gateway)
        try EndpointsCatalog.add(model, provider: model, upstreamModel: "upstream-name", at: self.gateway)
    }

    /// Asks for a completion.
    func ask(
        isStream: Bool = true, _ members: String = "", idempotencyKey: String? = nil
    ) throws -> StreamingClient {
        let client = try StreamingClient(gateway.url)
        let all = (isStream ? [#""stream":true"#] : []) + (members.isEmpty ? [] : [members])
        client.postChat(
            key: caller.key, EndpointsCaller.body(model, all.joined(separator: ",")),
            header: idempotencyKey.map { "Idempotency-Key: \($0)" })
        return client
    }

    /// What the estimated input and so many pieces of output cost.
    static func charge(output: Int64) -> Int64 {
        EndpointsCaller.estimatedInput * 10_000 + output * 30_000
    }
}
