import Glibc
import TestTools
import Threads
package import Webhooks

/// Somebody who is told of events: checks their signatures, and answers as a test wants.
package final class WebhookReceiver: Sendable {
    /// What it does with an event that it has read.
    package enum Behaviour: Sendable, Equatable {
        case answer(Int)
        /// Hangs up without a word.
        case hangUp
        /// Says nothing until its caller goes.
        case wait
    }

    /// An event that came.
    package struct Delivery: Sendable {
        /// Its id, from the header.
        package let id: String
        /// Its body.
        package let body: String
        /// Whether it is signed under our secret, and just now.
        package let isSigned: Bool
    }

    private struct State {
        var behaviour = Behaviour.answer(204)
        var deliveries: [Delivery] = []
    }

    /// The secret, as its file has it.
    package static let secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    private let listener: Int32
    private let port: UInt16
    private let secret: WebhookSecret
    private let state = Locked(State())

    /// Begins listening on a free port.
    package init() throws {
        guard let secret = WebhookSecret(Self.secretText) else { preconditionFailure("it is a secret") }
        self.secret = secret
        (listener, port) = try TestSocket.listen()
        _ = try WorkerThread(name: "webhook", isDetached: true) { [self] in serve() }
    }

    /// Where it is.
    package var url: String { "http://127.0.0.1:\(port)/hook" }

    /// What came until now, one after the other.
    package var deliveries: [Delivery] { state.withLock { $0.deliveries } }

    /// Does so with what comes from now on.
    package func behave(_ behaviour: Behaviour) {
        state.withLock { $0.behaviour = behaviour }
    }

    /// Is not there any more.
    package func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// Somebody who sends to it.
    package func sender(milliseconds: Int = 10_000) -> WebhookSender {
        WebhookSender(url: url, secret: secret, millisecondsMax: milliseconds)
    }

    private func serve() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            // One at a time: a test knows how many come.
            serve(descriptor)
            close(descriptor)
        }
        close(listener)
    }

    private func serve(_ descriptor: Int32) {
        guard let request = read(descriptor) else { return }
        let id = request.header("webhook-id")
        let sent = Int64(request.header("webhook-timestamp")) ?? 0
        let signature = secret.signature(id: id, unixSeconds: sent, body: request.body)
        let isFresh = abs(WallClock.unixMilliseconds / 1_000 - sent) < 60
        let delivery = Delivery(
            id: id, body: request.body,
            isSigned: isFresh && request.header("webhook-signature") == signature)
        let behaviour = state.withLock { state in
            state.deliveries.append(delivery)
            return state.behaviour
        }
        switch behaviour {
        case .hangUp: break
        case .wait: _ = TestSocket.receiveAll(descriptor)
        case .answer(let status):
            let head = "HTTP/1.1 \(status) Said\r\nContent-Length: 0\r\nLocation: \(url)\r\n"
            TestSocket.send(Array((head + "Connection: close\r\n\r\n").utf8), on: descriptor)
        }
    }

    private struct Request {
        var head: [Substring] = []
        var body = ""

        /// The value of a header field; empty when it is not there.
        func header(_ name: String) -> String {
            let line = head.first { $0.lowercased().hasPrefix(name + ":") }
            return line.map { String($0.dropFirst(name.count + 1).drop { $0 == " " }) } ?? ""
        }
    }

    private func read(_ descriptor: Int32) -> Request? {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            received += buffer[..<count]
            let text = String(decoding: received, as: UTF8.self)
            let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            let request = Request(head: parts[0].split(separator: "\r\n"), body: String(parts[1]))
            if request.body.utf8.count == Int(request.header("content-length")) ?? 0 { return request }
        }
    }
}
