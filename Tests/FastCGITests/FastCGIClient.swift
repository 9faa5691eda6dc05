import Glibc

/// The bytes of FastCGI records.
enum Records {
    static func record(_ type: UInt8, _ content: [UInt8], id: UInt16 = 1, padding: Int = 0) -> [UInt8] {
        let count = UInt16(content.count)
        let header: [UInt8] = [
            1, type, UInt8(id >> 8), UInt8(id & 255), UInt8(count >> 8), UInt8(count & 255), UInt8(padding),
            0,
        ]
        return header + content + [UInt8](repeating: 0, count: padding)
    }

    static func begin(keepsConnection: Bool, role: UInt8 = 1) -> [UInt8] {
        record(1, [0, role, keepsConnection ? 1 : 0, 0, 0, 0, 0, 0])
    }

    static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [
                UInt8(count >> 24 | 0x80), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255),
                UInt8(count & 255),
            ]
    }

    static func pairs(_ parameters: [(String, String)]) -> [UInt8] {
        parameters.flatMap { name, value in
            length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
        }
    }

    /// One stream in records of at most `recordBytes`, and its end.
    static func stream(_ type: UInt8, _ content: [UInt8], recordBytes: Int = 32_768) -> [UInt8] {
        var bytes: [UInt8] = []
        var offset = 0
        while offset < content.count {
            let end = min(offset + recordBytes, content.count)
            let part = Array(content[offset..<end])
            bytes += record(type, part, padding: (8 - part.count % 8) % 8)
            offset = end
        }
        return bytes + record(type, [])
    }

    static func request(
        _ parameters: [(String, String)] = [], body: [UInt8] = [], announced: String? = nil,
        keepsConnection: Bool = true
    ) -> [UInt8] {
        let length = announced ?? (body.isEmpty ? "" : String(body.count))
        return begin(keepsConnection: keepsConnection)
            + stream(4, pairs([("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", length)] + parameters))
            + stream(5, body)
    }
}

/// A connection to a responder, as a web server would have it.
final class FastCGIClient {
    private(set) var descriptor: Int32

    init?(path: String, timeoutSeconds: Int = 20) {
        guard let descriptor = connectUnix(path, timeoutSeconds: timeoutSeconds) else { return nil }
        self.descriptor = descriptor
    }

    deinit {
        close()
    }

    func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }

    func halfClose() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        sendAll(descriptor, bytes)
    }

    /// The text of the next answer's standard output; nil when the connection ended first.
    func answer() -> String? {
        var output: [UInt8] = []
        while let header = receive(8) {
            let length = Int(header[4]) << 8 | Int(header[5])
            guard let content = receive(length), receive(Int(header[6])) != nil else { return nil }
            if header[1] == 6 { output += content }
            if header[1] == 3 { return String(decoding: output, as: UTF8.self) }
        }
        return nil
    }

    /// Whether the responder closes the connection, without a further byte.
    func isClosedByResponder() -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, 0) == 0 || errno == ECONNRESET
    }

    func receive(_ count: Int) -> [UInt8]? {
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

func connectUnix(_ path: String, timeoutSeconds: Int) -> Int32? {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard result == 0 else {
        close(descriptor)
        return nil
    }
    var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    return descriptor
}

func sendAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var offset = 0
    while offset < bytes.count {
        let step = bytes.withUnsafeBytes {
            Glibc.send(
                descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
        }
        guard step > 0 else { return false }
        offset += step
    }
    return true
}
