import Foundation
import Glibc
import TestTools
import Testing
import Threads

/// A client on a socket, which sends what it likes, sees each byte of the answer when it comes, and can leave in any way.
final class StreamingClient {
    private var descriptor: Int32
    private var bytes: [UInt8] = []
    /// Whether the server has closed the connection.
    private(set) var hasEnded = false

    /// Connects to `http://127.0.0.1:PORT`.
    init(_ url: String) throws {
        let port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) })
        descriptor = try #require(TestSocket.connect(port: port), "nobody listens at \(url)")
    }

    deinit {
        leave()
    }

    // MARK: - Sending

    /// Sends bytes; a server that has answered before it read them all may refuse the rest.
    func send(_ bytes: [UInt8]) {
        TestSocket.send(bytes, on: descriptor)
    }

    /// Sends text.
    func send(_ text: String) {
        send(Array(text.utf8))
    }

    /// Posts a chat request in HTTP/1.0, whose answer is not chunked: after the head comes the stream itself.
    ///
    /// - Parameter header: One more header line.
    func postChat(key: String, _ body: String, header: String? = nil) {
        send(
            "POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer \(key)\r\n"
                + (header.map { "\($0)\r\n" } ?? "")
                + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n" + body)
    }

    // MARK: - Receiving

    /// Waits until this text has come; false when it has not in time, or cannot any more.
    func waits(for text: String, milliseconds: Int = 15_000) -> Bool {
        let deadline = Deadline.after(milliseconds: milliseconds)
        while !self.text.contains(text) {
            guard receive(until: deadline) else { return self.text.contains(text) }
        }
        return true
    }

    /// Reads until the server closes the connection; false when it does not in time.
    func readsToEnd(seconds: Int = 30) -> Bool {
        let deadline = Deadline.after(seconds: seconds)
        while receive(until: deadline) {}
        return hasEnded
    }

    private func receive(until deadline: Deadline) -> Bool {
        guard !hasEnded else { return false }
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&state, 1, deadline.remainingMilliseconds) > 0 else { return false }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else {
            hasEnded = true
            return false
        }
        bytes += buffer[..<count]
        return true
    }

    /// All that has come so far.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The status of the answer; 0 while there is none.
    var status: Int {
        let words = text.prefix { $0 != "\r\n" }.split(separator: " ")
        return words.count > 1 ? Int(words[1]) ?? 0 : 0
    }

    /// The head of the answer and what has come of its body.
    private var parts: (head: String, body: String) {
        guard let end = text.firstRange(of: "\r\n\r\n") else { return (text, "") }
        return (String(text[..<end.lowerBound]), String(text[end.upperBound...]))
    }

    /// What has come of the body.
    var body: String { parts.body }

    /// The value of a header field, named in lower case.
    func header(_ name: String) -> String? {
        for line in parts.head.split(separator: "\r\n").dropFirst() {
            let field = line.split(separator: ":", maxSplits: 1)
            if field.count == 2, field[0].lowercased() == name {
                return field[1].trimmingPrefix(" ").description
            }
        }
        return nil
    }

    /// The data of the events that have come whole, comments left out.
    var events: [String] {
        body.components(separatedBy: "\n\n").dropLast().filter { !$0.hasPrefix(":") }.map {
            $0.hasPrefix("data: ") ? String($0.dropFirst(6)) : "not a data event: \($0)"
        }
    }

    /// The comments that have come.
    var comments: Int {
        body.components(separatedBy: "\n\n").count { $0.hasPrefix(":") }
    }

    // MARK: - Leaving

    /// Closes the connection.
    func leave() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
    }

    /// Says that nothing more will be sent, and stays to read.
    func halfClose() {
        shutdown(descriptor, Int32(SHUT_WR))
    }
}
