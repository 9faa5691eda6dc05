/// The request line of an HTTP/1.1 request and the header fields that mean something here.
struct RequestHead {
    var method = ""
    /// The path without its query.
    var path = ""
    var bodyBytes = 0
    var closesConnection = false
    var expectsContinue = false
    var isChunked = false
    /// `x-request-id`, or else `x-tollgate-trace`.
    var trace: String?
    /// `x-tollgate-attempt`.
    var attempt: String?
    /// The last four characters of the credential; a shorter one whole.
    var credentialTail: String?
    /// Bytes from the start of the request to its body.
    var headBytes = 0

    /// What a look at received bytes found.
    enum Outcome {
        case incomplete, malformed
        case complete(RequestHead)
    }

    static let headBytesMax = 64 * 1_024

    /// Reads a request head.
    static func scan(_ bytes: UnsafeBufferPointer<UInt8>) -> Outcome {
        var head = RequestHead()
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            guard end < headBytesMax else { return .malformed }
            let isCRLF = end > start && bytes[end - 1] == UInt8(ascii: "\r")
            let line = UnsafeBufferPointer(rebasing: bytes[start..<(isCRLF ? end - 1 : end)])
            if start == 0 {
                guard head.setRequestLine(line) else { return .malformed }
            } else if line.isEmpty {
                head.headBytes = end + 1
                return .complete(head)
            } else if !head.setField(line) {
                return .malformed
            }
            start = end + 1
        }
        return bytes.count > headBytesMax ? .malformed : .incomplete
    }

    private mutating func setRequestLine(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        let words = line.split(separator: 0x20)
        guard words.count == 3, words[2].starts(with: "HTTP/1.".utf8) else { return false }
        method = String(decoding: words[0], as: UTF8.self)
        path = String(decoding: words[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
        closesConnection = words[2].last == UInt8(ascii: "0")
        return true
    }

    private mutating func setField(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let name = line[..<colon]
        func value() -> String {
            let text = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
            return String(decoding: text, as: UTF8.self)
        }
        // Told apart by length first: most fields are none of these.
        switch colon {
        case 6 where Self.isSame(name, "expect"):
            expectsContinue = value().lowercased() == "100-continue"
        case 10 where Self.isSame(name, "connection"):
            closesConnection = value().lowercased() == "close"
        case 12 where Self.isSame(name, "x-request-id"):
            trace = value()
        case 13 where Self.isSame(name, "authorization"):
            credentialTail = String(value().suffix(4))
        case 14 where Self.isSame(name, "content-length"):
            guard let length = Int(value()), length >= 0 else { return false }
            bodyBytes = length
        case 16 where Self.isSame(name, "x-tollgate-trace"):
            trace = trace ?? value()
        case 17 where Self.isSame(name, "transfer-encoding"):
            isChunked = true
        case 18 where Self.isSame(name, "x-tollgate-attempt"):
            attempt = value()
        default:
            break
        }
        return true
    }

    private static func isSame(_ field: Slice<UnsafeBufferPointer<UInt8>>, _ name: StaticString) -> Bool {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return zip(field, name).allSatisfy { byte, lower in
            ((0x41...0x5A).contains(byte) ? byte | 0x20 : byte) == lower
        }
    }
}
