import Glibc

/// The bytes of FastCGI records.
package enum Records {
    /// One record.
    package static func record(
        _ type: UInt8, _ content: [UInt8], id: UInt16 = 1, padding: Int = 0
    ) -> [UInt8] {
        let count = UInt16(content.count)
        let header: [UInt8] = [
            1, type, UInt8(id >> 8), UInt8(id & 255), UInt8(count >> 8), UInt8(count & 255), UInt8(padding),
            0,
        ]
        return header + content + [UInt8](repeating: 0, count: padding)
    }

    /// The record that begins a request.
    package static func begin(keepsConnection: Bool, role: UInt8 = 1) -> [UInt8] {
        record(1, [0, role, keepsConnection ? 1 : 0, 0, 0, 0, 0, 0])
    }

    private static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [
                UInt8(count >> 24 | 0x80), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255),
                UInt8(count & 255),
            ]
    }

    /// Names and values as a stream of parameters has them.
    package static func pairs(_ parameters: [(String, String)]) -> [UInt8] {
        parameters.flatMap { name, value in
            length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
        }
    }

    /// One stream in records of at most `recordBytes`, and its end.
    package static func stream(_ type: UInt8, _ content: [UInt8], recordBytes: Int = 32_768) -> [UInt8] {
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

    /// A request with these parameters and no others.
    package static func request(
        parameters: [(String, String)], body: [UInt8], keepsConnection: Bool = true
    ) -> [UInt8] {
        begin(keepsConnection: keepsConnection) + stream(4, pairs(parameters)) + stream(5, body)
    }

    /// A POST whose body has its length announced, or another one.
    package static func request(
        _ parameters: [(String, String)] = [], body: [UInt8] = [], announced: String? = nil,
        keepsConnection: Bool = true
    ) -> [UInt8] {
        let length = announced ?? (body.isEmpty ? "" : String(body.count))
        return request(
            parameters: [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", length)] + parameters, body: body,
            keepsConnection: keepsConnection)
    }
}

/// A connection to a responder, as a web server would have it.
package final class FastCGIClient {
    private var descriptor: Int32

    /// Connects; nil when nobody listens.
    package init?(path: String, timeoutSeconds: Int = 20) {
        guard let descriptor = TestSocket.connect(path: path, timeoutSeconds: timeoutSeconds) else {
            return nil
        }
        self.descriptor = descriptor
    }

    deinit {
        close()
    }

    /// Ends the connection.
    package func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// Says that nothing more will be sent, and stays to read.
    package func halfClose() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Sends all of it; false when the responder is gone.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        TestSocket.send(bytes, on: descriptor)
    }

    /// The text of the next answer's standard output; nil when the connection ended first.
    package func answer() -> String? {
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
    package func isClosedByResponder() -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, 0) == 0 || errno == ECONNRESET
    }

    /// So many bytes; nil when the connection ended first.
    package func receive(_ count: Int) -> [UInt8]? {
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
