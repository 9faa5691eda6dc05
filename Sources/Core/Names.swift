/// A tenant's name: lower-case letters, digits, `.`, `_` and `-`, 1 to 63 of them, beginning with a letter or digit.
///
/// It stands in Redis keys between braces, so nothing that could end them early is allowed.
package struct TenantID: Sendable, Hashable, CustomStringConvertible {
    /// The name as text.
    package let description: String

    /// Creates a tenant's name; nil when the text is not one.
    package init?(_ text: String) {
        guard Names.isName(text, lengthMax: 63) else { return nil }
        description = text
    }
}

/// The public part of an API key: it names the key in logs, tables and Redis and opens nothing.
package struct APIKeyID: Sendable, Hashable, CustomStringConvertible {
    /// The name as text.
    package let description: String

    /// Creates a key's name; nil when the text is not 1 to 63 letters and digits.
    package init?(_ text: String) {
        guard (1...63).contains(text.utf8.count), text.utf8.allSatisfy(Names.isAlphanumeric) else {
            return nil
        }
        description = text
    }
}

/// What names may look like.
package enum Names {
    /// Whether the text is a lower-case name as tenants and providers have it.
    package static func isName(_ text: String, lengthMax: Int) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= lengthMax, isLowerAlphanumeric(first) else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            isLowerAlphanumeric(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
                || byte == UInt8(ascii: "-")
        }
    }

    /// Whether the text can name a model: 1 to 256 printable ASCII characters without blanks or quotes.
    package static func isModelName(_ text: String) -> Bool {
        (1...256).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerAlphanumeric(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
