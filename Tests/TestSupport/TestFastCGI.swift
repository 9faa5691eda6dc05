import Glibc

/// The web server's side of FastCGI, for tests that ask one process past nginx.
package enum TestFastCGI {
    /// Sends one request as nginx would, and returns the answer; one of status 0 when there is none.
    ///
    /// - Parameters:
    ///   - listener: Which of nginx's servers it would have come through: `public` or `admin`.
    ///   - key: The API key or admin token.
    package static func ask(
        _ socketPath: String, _ method: String, _ path: String, listener: String = "public",
        key: String? = nil, body: String = ""
    ) -> TestHTTP.Answer {
        guard let client = connect(socketPath) else { return TestHTTP.Answer(wire: "") }
        defer { close(client) }
        var parameters = [
            ("REQUEST_METHOD", method), ("REQUEST_URI", path), ("TOLLGATE_LISTENER", listener),
            ("CONTENT_TYPE", "application/json"), ("CONTENT_LENGTH", String(body.utf8.count)),
        ]
        if let key { parameters.append(("HTTP_AUTHORIZATION", "Bearer \(key)")) }
        send(client, request(parameters, Array(body.utf8)))
        return TestHTTP.Answer(wire: answer(client))
    }

    static func connect(_ path: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        var time = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    static func request(_ parameters: [(String, String)], _ body: [UInt8]) -> [UInt8] {
        let pairs = parameters.flatMap { name, value in
            length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
        }
        return record(1, [0, 1, 1, 0, 0, 0, 0, 0]) + stream(4, pairs) + stream(5, body)
    }

    private static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [
                UInt8(count >> 24 | 0x80), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255),
                UInt8(count & 255),
            ]
    }

    private static func stream(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        let recordBytes = 32_768
        var bytes: [UInt8] = []
        for start in Swift.stride(from: 0, to: content.count, by: recordBytes) {
            bytes += record(type, Array(content[start..<min(start + recordBytes, content.count)]))
        }
        return bytes + record(type, [])
    }

    private static func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 255), 0, 0] + content
    }

    static func send(_ descriptor: Int32, _ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            offset += count
        }
    }

    static func answer(_ descriptor: Int32) -> String {
        var output: [UInt8] = []
        while let header = receive(descriptor, 8) {
            guard let content = receive(descriptor, Int(header[4]) << 8 | Int(header[5])),
                receive(descriptor, Int(header[6])) != nil
            else { break }
            if header[1] == 6 { output += content }
            if header[1] == 3 { break }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func receive(_ descriptor: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let step = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + offset }, count - offset, 0)
            }
            guard step > 0 else { return nil }
            offset += step
        }
        return bytes
    }
}
