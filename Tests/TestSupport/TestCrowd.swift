import Foundation
import Glibc
import TestTools
import Threads

/// Many clients at once on one thread: each has a connection of its own, on which it sends one request.
package enum TestCrowd {
    /// What one client got.
    package struct Outcome: Sendable {
        /// The answer; of status 0 when there was none.
        package let answer: TestHTTP.Answer
        /// From the beginning of all to the end of this answer.
        package let milliseconds: Int64
    }

    private struct Client {
        let descriptor: Int32
        var unsent: ArraySlice<UInt8>
        var received: [UInt8] = []
        var endedAfter: Int64?
    }

    /// Posts the same chat request from so many clients to `http://127.0.0.1:PORT`, and waits for all answers.
    package static func chat(
        _ count: Int, at url: String, key: String, _ body: String, seconds: Int = 120
    ) -> [Outcome] {
        DescriptorLimit.raise()
        let port = url.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        // HTTP/1.0: the end of the connection is the end of the answer.
        let request = Array(
            ("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer \(key)\r\n"
                + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n" + body).utf8)
        let began = Deadline.now
        let deadline = Deadline.after(seconds: seconds)
        var clients = (0..<count).map { _ in
            Client(descriptor: TestSocket.connect(port: port, isBlocking: false) ?? -1, unsent: request[...])
        }
        var waiting = clients.count { $0.descriptor >= 0 }
        while waiting > 0, !deadline.isPast {
            // `poll` passes over negative descriptors.
            var entries = clients.map { client in
                pollfd(
                    fd: client.endedAfter == nil ? client.descriptor : -1,
                    events: Int16(client.unsent.isEmpty ? POLLIN : POLLOUT), revents: 0)
            }
            poll(&entries, nfds_t(entries.count), min(1_000, deadline.remainingMilliseconds))
            for index in entries.indices where entries[index].revents != 0 {
                if !goOn(&clients[index]) {
                    clients[index].endedAfter = began.elapsedNanoseconds / 1_000_000
                    waiting -= 1
                }
            }
        }
        return clients.map { client in
            close(client.descriptor)
            return Outcome(
                answer: TestHTTP.Answer(wire: String(decoding: client.received, as: UTF8.self)),
                milliseconds: client.endedAfter ?? began.elapsedNanoseconds / 1_000_000)
        }
    }

    /// Sends or receives what can be; false when the connection has ended.
    private static func goOn(_ client: inout Client) -> Bool {
        if !client.unsent.isEmpty {
            let count = client.unsent.withUnsafeBytes {
                send(client.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return count < 0 && errno == EAGAIN }
            client.unsent = client.unsent.dropFirst(count)
            return true
        }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = recv(client.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return count < 0 && errno == EAGAIN }
        client.received += buffer[..<count]
        return true
    }
}

extension TestHTTP.Answer {
    /// Takes apart an answer as it came: over HTTP, or over FastCGI, where the status is a header line.
    package init(wire text: String) {
        let end = text.range(of: "\r\n\r\n")
        let lines = (end.map { String(text[..<$0.lowerBound]) } ?? "").components(separatedBy: "\r\n")
        let pairs = lines.compactMap { line in
            line.range(of: ": ").map { (line[..<$0.lowerBound].lowercased(), String(line[$0.upperBound...])) }
        }
        let headers = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        let status = headers["status"] ?? lines[0].split(separator: " ").dropFirst().first.map { String($0) }
        self.init(
            status: status.flatMap { Int($0.prefix(3)) } ?? 0,
            body: end.map { String(text[$0.upperBound...]) } ?? "", headers: headers)
    }
}
