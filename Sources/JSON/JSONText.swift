/// How long a text is.
package struct JSONTextSize: Sendable, Equatable {
    /// Bytes in UTF-8.
    package var bytes = 0
    /// Unicode scalars.
    package var characters = 0

    /// Creates the size of no text.
    package init() {}

    /// Adds another text's size.
    package static func += (left: inout JSONTextSize, right: JSONTextSize) {
        left.bytes += right.bytes
        left.characters += right.characters
    }
}

extension UInt8 {
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let openBracket = UInt8(ascii: "[")
    static let closeBracket = UInt8(ascii: "]")
    static let minus = UInt8(ascii: "-")
    static let zero = UInt8(ascii: "0")

    var isDigit: Bool { self &- 0x30 < 10 }

    /// The value of a hexadecimal digit; nil for any other byte.
    var hexValue: UInt32? {
        switch self {
        case 0x30...0x39: UInt32(self - 0x30)
        case 0x41...0x46: UInt32(self - 0x41 + 10)
        case 0x61...0x66: UInt32(self - 0x61 + 10)
        default: nil
        }
    }
}

/// What is done with the inside of JSON strings, eight bytes at a time where possible.
enum JSONText {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// Marks quotes, backslashes and control characters among eight bytes.
    ///
    /// The lowest mark is exact, higher ones may be false.
    @inline(__always)
    static func escapeMarks(_ word: UInt64) -> UInt64 {
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let found =
            ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)
            | ((word &- (ones &* 0x20)) & ~word)
        return found & highs
    }

    /// Marks quotes, backslashes, control characters and bytes that are not ASCII.
    @inline(__always)
    static func specialMarks(_ word: UInt64) -> UInt64 {
        escapeMarks(word) | (word & highs)
    }

    @inline(__always)
    static func word(_ pointer: UnsafePointer<UInt8>) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(pointer).loadUnaligned(as: UInt64.self))
    }

    /// Whether two runs of bytes are the same.
    static func areEqual(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<left.count where left[index] != right[index] {
            return false
        }
        return true
    }

    /// Whether two ASCII characters are the same but for upper and lower case.
    static func areSameLetter(_ left: UInt8, _ right: UInt8) -> Bool {
        left == right || (left ^ right == 0x20 && (0x61...0x7A).contains(left | 0x20))
    }

    /// Resolves the escapes of a validated string's inside.
    static func unescaped(_ source: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(source.count)
        var index = 0
        while index < source.count {
            guard source[index] == .backslash else {
                result.append(source[index])
                index += 1
                continue
            }
            let (scalar, length) = escape(in: source, at: index)
            result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            index += length
        }
        return result
    }

    /// The size of a validated string's inside once its escapes are resolved.
    static func size(of source: UnsafeBufferPointer<UInt8>, isEscaped: Bool) -> JSONTextSize {
        var size = JSONTextSize()
        guard isEscaped else {
            size.bytes = source.count
            size.characters = scalarCount(source)
            return size
        }
        var index = 0
        while index < source.count {
            if source[index] == .backslash {
                let (scalar, length) = escape(in: source, at: index)
                size.bytes += UTF8.width(scalar)
                size.characters += 1
                index += length
            } else {
                size.bytes += 1
                size.characters += source[index] & 0xC0 == 0x80 ? 0 : 1
                index += 1
            }
        }
        return size
    }

    private static func scalarCount(_ source: UnsafeBufferPointer<UInt8>) -> Int {
        var continuations = 0
        for byte in source {
            continuations &+= byte & 0xC0 == 0x80 ? 1 : 0
        }
        return source.count - continuations
    }

    /// Reads one validated escape: the character it stands for, and its length, pairs of surrogates as one.
    private static func escape(
        in source: UnsafeBufferPointer<UInt8>, at index: Int
    ) -> (scalar: Unicode.Scalar, length: Int) {
        switch source[index + 1] {
        case UInt8(ascii: "b"): return ("\u{8}", 2)
        case UInt8(ascii: "f"): return ("\u{C}", 2)
        case UInt8(ascii: "n"): return ("\n", 2)
        case UInt8(ascii: "r"): return ("\r", 2)
        case UInt8(ascii: "t"): return ("\t", 2)
        case UInt8(ascii: "u"): break
        case let other: return (Unicode.Scalar(other), 2)
        }
        let first = codeUnit(in: source, at: index + 2)
        guard first & 0xFC00 == 0xD800 else { return (Unicode.Scalar(first) ?? "\u{FFFD}", 6) }
        let second = codeUnit(in: source, at: index + 8)
        let value = 0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF)
        return (Unicode.Scalar(value) ?? "\u{FFFD}", 12)
    }

    private static func codeUnit(in source: UnsafeBufferPointer<UInt8>, at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 << 4 | (source[index + $1].hexValue ?? 0) }
    }
}
