/// The parameters behind the `?` of a request, percent-decoded.
struct QueryParameters {
    private var values: [String: String] = [:]

    /// Reads a query; nil when it is malformed, or names a parameter twice.
    init?(_ query: String) {
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decoded(parts[0], isPlusBlank: true),
                let value = parts.count > 1 ? PercentCoding.decoded(parts[1], isPlusBlank: true) : "",
                values.updateValue(value, forKey: name) == nil
            else { return nil }
        }
    }

    subscript(name: String) -> String? { values[name] }

    /// Whether no other names were given.
    func contains(only names: Set<String>) -> Bool { names.isSuperset(of: values.keys) }
}

/// Bytes written as `%` and two hexadecimal digits.
enum PercentCoding {
    /// The text that is meant; nil when it is malformed, or holds a NUL, which nothing of ours can.
    static func decoded(_ text: Substring, isPlusBlank: Bool) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "+") where isPlusBlank: bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
