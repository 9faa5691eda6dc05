import CLinux
import Glibc

/// Listening sockets: our own, or those that systemd hands over.
package enum UnixListener {
    private static let inheritedFirst: Int32 = 3

    /// Listens on a path, in place of a socket that a dead process left there.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes.
    ///   - mode: Who may connect, hence speak as the web server: 0o660 as a rule. Nobody can before it is set.
    ///   - group: The socket's group, nginx's as a rule; nil leaves the process's own.
    ///   - backlog: Connections that may wait to be accepted; the kernel bounds it by `net.core.somaxconn`.
    package static func open(
        path: String, mode: UInt32, group: UInt32? = nil, backlog: Int32 = 4_096
    ) throws(FastCGIError) -> Int32 {
        try removeStale(path)
        let descriptor = try socketDescriptor()
        do throws(FastCGIError) {
            try call("bind") { () throws(FastCGIError) in try withAddress(path) { bind(descriptor, $0, $1) } }
            if let group { try call("chown") { chown(path, uid_t.max, group) } }
            try call("chmod") { chmod(path, mode) }
            try call("listen") { listen(descriptor, backlog) }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// The sockets that systemd passed to this process, none when it was not started by a socket unit.
    ///
    /// Takes the announcement out of the environment, so call it once, before there are other threads.
    package static func inherited() -> [Int32] {
        defer {
            for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        }
        guard number("LISTEN_PID") == getpid(), let count = number("LISTEN_FDS"), count > 0, count < 1_024
        else {
            return []
        }
        let descriptors = Array(inheritedFirst..<inheritedFirst + count)
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        return descriptors
    }

    private static func number(_ name: String) -> Int32? {
        getenv(name).flatMap { Int32(String(cString: $0)) }
    }

    private static func socketDescriptor() throws(FastCGIError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw .system(call: "socket", code: errno) }
        return descriptor
    }

    /// Removes a socket that nobody listens on.
    private static func removeStale(_ path: String) throws(FastCGIError) {
        let descriptor = try socketDescriptor()
        defer { close(descriptor) }
        let result = try withAddress(path) { connect(descriptor, $0, $1) }
        // EAGAIN: somebody listens, and his backlog is full.
        if result == 0 || errno == EAGAIN { throw .addressInUse }
        // A regular file refuses too.
        guard errno == ECONNREFUSED else { return }
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    }

    private static func call(
        _ name: String, _ body: () throws(FastCGIError) -> Int32
    ) throws(FastCGIError) {
        guard try body() == 0 else { throw .system(call: name, code: errno) }
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(FastCGIError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        // One byte stays zero, the end of the C string.
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw .pathTooLong }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
