/// What a request must look like before any of it reaches libcurl.
enum RequestRules {
    private static let urlBytesMax = 8192
    private static let reservedHeaders = ["content-length", "transfer-encoding", "connection", "expect"]

    /// Refuses a URL that is not absolute, of a scheme we do not speak, or that means one thing to us and another to libcurl.
    static func check(url: String) throws(HTTPClientError) {
        let bytes = url.utf8
        guard bytes.count <= urlBytesMax,
            hasOnly(url, { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") })
        else {
            throw .invalidRequest("the URL is too long or has bytes that must be escaped")
        }
        let isHTTP = url.hasPrefix("http://")
        guard isHTTP || url.hasPrefix("https://") else {
            throw .invalidRequest("the URL must begin with http:// or https://")
        }
        let rest = bytes.dropFirst(isHTTP ? 7 : 8)
        let authority = rest.prefix {
            $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#")
        }
        guard !authority.isEmpty, !authority.contains(UInt8(ascii: "@")) else {
            throw .invalidRequest("the URL must name a host and no user")
        }
    }

    /// Refuses a method that would change the meaning of the request on the wire.
    static func check(method: String) throws(HTTPClientError) {
        guard isName(method) else { throw .invalidRequest("the method is not a name") }
    }

    /// Refuses a header field that would.
    static func check(_ field: (name: String, value: String)) throws(HTTPClientError) {
        guard isName(field.name), !isReserved(field.name) else {
            throw .invalidRequest("the header name \(field.name.debugDescription) is not allowed")
        }
        guard hasOnly(field.value, { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
            throw .invalidRequest("the header \(field.name) has control characters")
        }
    }

    private static func isReserved(_ name: String) -> Bool {
        reservedHeaders.contains { isSame(name, $0) }
    }

    /// Whether a header name is this one, which is given in lower case.
    static func isSame(_ name: String, _ wanted: String) -> Bool {
        name.utf8.count == wanted.utf8.count && name.lowercased() == wanted
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && hasOnly(text) { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: "."),
                    UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"),
                    UInt8(ascii: "&"),
                    UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "^"),
                    UInt8(ascii: "`"),
                    UInt8(ascii: "|"), UInt8(ascii: "~"):
                    true
                default:
                    false
                }
            }
    }

    /// Whether all bytes are allowed; looks at the text's memory, which is faster than going through the string.
    private static func hasOnly(_ text: String, _ isAllowed: (UInt8) -> Bool) -> Bool {
        var text = text
        return text.withUTF8 { $0.allSatisfy(isAllowed) }
    }
}
