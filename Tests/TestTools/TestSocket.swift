import Glibc

/// Stream sockets of this machine, for tests that play one side of a connection byte by byte.
package enum TestSocket {
    /// Connects to a port of the loopback interface; nil when nobody takes the connection.
    ///
    /// - Parameters:
    ///   - timeoutSeconds: How long each later call may wait; nil for without end.
    ///   - isBlocking: Without it the connection may still be on its way, and no later call waits.
    package static func connect(
        port: UInt16, timeoutSeconds: Int? = nil, isBlocking: Bool = true
    ) -> Int32? {
        connect(
            open(AF_INET, isBlocking: isBlocking), to: loopback(port), timeoutSeconds: timeoutSeconds)
    }

    /// Connects to a socket in the file system; nil when nobody takes the connection.
    package static func connect(path: String, timeoutSeconds: Int? = nil) -> Int32? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return connect(open(AF_UNIX, isBlocking: true), to: address, timeoutSeconds: timeoutSeconds)
    }

    /// Listens on a free port of the loopback interface.
    package static func listen(isBlocking: Bool = true) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = open(AF_INET, isBlocking: isBlocking)
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && Glibc.listen(descriptor, 512) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isListening else {
            close(descriptor)
            throw TestSocketError.noFreePort
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// Sends all of it; false when the other side is gone.
    @discardableResult
    package static func send(_ bytes: [UInt8], on descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// All that comes until the other side closes, or is silent for too long.
    package static func receiveAll(_ descriptor: Int32) -> String {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return String(decoding: received, as: UTF8.self) }
            received += buffer[..<count]
        }
    }

    private static func open(_ family: Int32, isBlocking: Bool) -> Int32 {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | (isBlocking ? 0 : SOCK_NONBLOCK.rawValue)
        return socket(family, Int32(kind), 0)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private static func connect<Address>(
        _ descriptor: Int32, to address: Address, timeoutSeconds: Int?
    ) -> Int32? {
        if let timeoutSeconds {
            var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
            }
        }
        let code = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard code == 0 || errno == EINPROGRESS else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}

private enum TestSocketError: Error {
    case noFreePort
}
