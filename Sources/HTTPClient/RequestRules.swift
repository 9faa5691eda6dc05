/// What a request must look like before any of it reaches libcurl.
enum RequestRules {
    private static let urlBytesMax = 8192
    private static let reservedHeaders = ["content-length", "transfer-encoding", "connection", "expect"]

    /// The `scheme://host:port` part of a URL, under which connections are shared.
    static func endpoint(of url: String) throws(HTTPClientError) -> Substring {
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
        return url[..<authority.endIndex]
    }

    /// Refuses a method or header fields that would change the meaning of the request on the wire.
    static func check(_ request: HTTPRequest) throws(HTTPClientError) {
        guard isName(request.method) else { throw .invalidRequest("the method is not a name") }
        for (name, value) in request.headers {
            guard isName(name), !isReserved(name) else {
                throw .invalidRequest("the header name \(name.debugDescription) is not allowed")
            }
            guard hasOnly(value, { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
                throw .invalidRequest("the header \(name) has control characters")
            }
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
