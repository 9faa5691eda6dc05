import Glibc
import Threads

/// Finds a TCP port of the loopback interface that nobody listens on at the moment.
package func freePort() throws(ServerError) -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw .system(operation: "open", path: "a socket", code: errno) }
    defer { close(descriptor) }
    var address = LocalSocket.loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
                ? 0 : errno
        }
    }
    guard code == 0 else { throw .system(operation: "find", path: "a free port", code: code) }
    return UInt16(bigEndian: address.sin_port)
}

/// Asks local servers whether they answer.
enum LocalSocket {
    /// What `sockaddr_un` can hold, without its terminating zero.
    static let pathBytesMax = 107

    static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// A directory whose sockets have paths short enough: the wanted one, or one under `/tmp` that stands for it.
    static func directory(_ wanted: String, longestName: String, isUsable: Bool = true) -> String {
        let fits = wanted.utf8.count + 1 + longestName.utf8.count <= pathBytesMax
        return fits && isUsable ? wanted : "/tmp/tollgate-\(geteuid())-\(FileTree.shortHash(wanted))"
    }

    /// Whether somebody accepts connections on a port of the loopback interface.
    static func answers(port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// The first bytes of what a server answers on a unix socket; nil when it does not.
    static func answer(path: String, to request: String, timeoutMilliseconds: Int = 500) -> String? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count <= pathBytesMax else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        let bytes = Array(request.utf8)
        guard isConnected,
            send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        else { return nil }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(timeoutMilliseconds)) == 1 else { return nil }
        var reply = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &reply, reply.count, 0)
        return count > 0 ? String(decoding: reply.prefix(count), as: UTF8.self) : nil
    }

    /// Looks again every few milliseconds until the condition holds; false when the deadline passed or the process ended first.
    static func waitUntil(
        _ deadline: Deadline, while process: ChildProcess? = nil, _ condition: () -> Bool
    ) -> Bool {
        while !condition() {
            if deadline.isPast { return false }
            if let process, !process.isRunning { return condition() }
            usleep(5_000)
        }
        return true
    }
}
