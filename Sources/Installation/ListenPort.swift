import Glibc
import Threads

/// Looks whether ports of the loopback interface can be listened on, and asks what listens there.
enum ListenPort {
    /// Throws when nobody could listen on the port: it is taken, or this user may not.
    static func check(_ port: UInt16, option: String) throws(InstallationError) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .system(operation: "open", path: "a socket", code: errno) }
        defer { close(descriptor) }
        // As nginx does: connections of an earlier server that linger are no obstacle.
        var isOn: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<Int32>.size))
        guard call(bind, descriptor, port) != 0 else { return }
        switch errno {
        case EADDRINUSE: throw .portTaken(port: port, option: option)
        case EACCES: throw .portForbidden(port: port, option: option)
        default: throw .system(operation: "listen on", path: "port \(port)", code: errno)
        }
    }

    /// The first port from the given one upwards that can be listened on.
    static func firstFree(from start: UInt16, excluding taken: [UInt16]) -> UInt16? {
        for port in start...max(start, UInt16.max - 1) where !taken.contains(port) {
            // A taken port is not a failure here: the next one is looked at.
            if (try? check(port, option: "")) != nil { return port }
        }
        return nil
    }

    /// Sends `GET path` to a server on the loopback interface and returns status and body; nil when nothing of the kind answers.
    static func get(_ path: String, port: UInt16, until deadline: Deadline) -> (status: Int, body: String)? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard call(connect, descriptor, port) == 0 else { return nil }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return nil
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        let answerBytesMax = 65_536
        while answer.count < answerBytesMax {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, deadline.remainingMilliseconds) == 1 else { return nil }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count >= 0 else { return nil }
            if count == 0 { break }
            answer += chunk.prefix(count)
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n"),
            let status = text.split(separator: " ").dropFirst().first
        else { return nil }
        return (Int(status) ?? 0, String(text[end.upperBound...]))
    }

    private static func call(
        _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32, _ port: UInt16
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
