import CLinux
import Glibc
package import Threads

/// Asks a responder for something as a web server would, one short request, to see whether it answers.
package enum ResponderProbe {
    /// What came of it.
    package enum Outcome: Sendable, Equatable {
        /// The answer's CGI status and its body.
        case answered(status: Int, body: String)
        /// The socket could not be connected to: an `errno` value.
        case notConnected(Int32)
        /// It took the connection and gave no answer in time, or none that is FastCGI.
        case silent
    }

    private static let answerBytesMax = 1 << 20
    private static let beginRequest: UInt8 = 1
    private static let endRequest: UInt8 = 3
    private static let parameters: UInt8 = 4
    private static let input: UInt8 = 5
    private static let output: UInt8 = 6

    /// Sends `GET path` with further parameters and waits for the whole answer.
    package static func get(
        _ path: String, socketPath: String, parameters extra: [(String, String)] = [],
        until deadline: Deadline
    ) -> Outcome {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .notConnected(errno) }
        defer { close(descriptor) }
        // A backlog that is full would be waited for.
        let seconds = max(1, Int(deadline.remainingMilliseconds) / 1_000)
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        if let code = connectError(descriptor, socketPath) {
            return code == EAGAIN ? .silent : .notConnected(code)
        }
        let request = request([("REQUEST_METHOD", "GET"), ("REQUEST_URI", path)] + extra)
        // Shorter than any socket's buffer.
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return .silent
        }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8_192)
        while received.count < answerBytesMax {
            if let text = answer(in: received) { return outcome(text) }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, deadline.remainingMilliseconds) == 1 else { return .silent }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return .silent }
            received += chunk.prefix(count)
        }
        return .silent
    }

    private static func connectError(_ descriptor: Int32, _ path: String) -> Int32? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return ENAMETOOLONG }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        return isConnected ? nil : errno
    }

    private static func request(_ pairs: [(String, String)]) -> [UInt8] {
        var content: [UInt8] = []
        for (name, value) in pairs {
            precondition(name.utf8.count < 128 && value.utf8.count < 128, "lengths of one byte")
            content += [UInt8(name.utf8.count), UInt8(value.utf8.count)] + name.utf8 + value.utf8
        }
        let responderRole: [UInt8] = [0, 1, 0, 0, 0, 0, 0, 0]
        return record(beginRequest, responderRole) + record(parameters, content) + record(parameters, [])
            + record(input, [])
    }

    private static func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 255), 0, 0] + content
    }

    /// The text of a complete answer; nil while records are missing.
    private static func answer(in bytes: [UInt8]) -> String? {
        var text: [UInt8] = []
        var start = 0
        while start + 8 <= bytes.count {
            let length = Int(bytes[start + 4]) << 8 | Int(bytes[start + 5])
            let end = start + 8 + length + Int(bytes[start + 6])
            guard end <= bytes.count else { return nil }
            if bytes[start + 1] == output { text += bytes[(start + 8)..<(start + 8 + length)] }
            if bytes[start + 1] == endRequest { return String(decoding: text, as: UTF8.self) }
            start = end
        }
        return nil
    }

    private static func outcome(_ text: String) -> Outcome {
        guard let end = text.firstRange(of: "\r\n\r\n") else { return .silent }
        let line = text[..<end.lowerBound].split(separator: "\r\n").first { $0.hasPrefix("Status: ") }
        let status = line.flatMap { Int($0.dropFirst(8).prefix(3)) } ?? 200
        return .answered(status: status, body: String(text[end.upperBound...]))
    }
}
