extension JSONScanner {
    /// Scans a string from its opening quote to behind its closing one; returns whether it holds escapes.
    @inline(__always)
    mutating func scanString() throws(JSONError) -> Bool {
        var index = position + 1
        var isEscaped = false
        while true {
            while index + 8 <= end {
                let marks = JSONText.specialMarks(JSONText.word(base + index))
                guard marks == 0 else {
                    index += marks.trailingZeroBitCount >> 3
                    break
                }
                index += 8
            }
            guard index < end else { throw JSONError(.unexpectedEnd, at: end) }
            let byte = base[index]
            if byte == .quote {
                position = index + 1
                return isEscaped
            }
            if byte >= 0x80 {
                repeat { try scanMultibyte(&index) } while index < end && base[index] >= 0x80
            } else if byte == .backslash {
                isEscaped = true
                try scanEscape(&index)
            } else if byte < 0x20 {
                throw JSONError(.controlCharacter, at: index)
            } else {
                // Only near the end of the input, where eight bytes cannot be read at once.
                index += 1
            }
        }
    }

    /// Moves over one character of two to four bytes, as strictly as Unicode defines UTF-8 (table 3-7).
    @inline(__always)
    private func scanMultibyte(_ index: inout Int) throws(JSONError) {
        let lead = base[index]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE1...0xEC, 0xEE, 0xEF: length = 3
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xF1...0xF3: length = 4
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: throw JSONError(.invalidUTF8, at: index)
        }
        guard index + length <= end, second.contains(base[index + 1]) else {
            throw JSONError(.invalidUTF8, at: index)
        }
        if length > 2, base[index + 2] & 0xC0 != 0x80 { throw JSONError(.invalidUTF8, at: index) }
        if length > 3, base[index + 3] & 0xC0 != 0x80 { throw JSONError(.invalidUTF8, at: index) }
        index += length
    }

    /// Moves over one escape sequence, a surrogate pair as a whole.
    private func scanEscape(_ index: inout Int) throws(JSONError) {
        guard index + 1 < end else { throw JSONError(.unexpectedEnd, at: end) }
        switch base[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 2
        case UInt8(ascii: "u"):
            let unit = try codeUnit(at: index + 2, escapeAt: index)
            if unit & 0xFC00 == 0xD800 {
                guard index + 7 < end, base[index + 6] == .backslash, base[index + 7] == UInt8(ascii: "u"),
                    try codeUnit(at: index + 8, escapeAt: index + 6) & 0xFC00 == 0xDC00
                else { throw JSONError(.loneSurrogate, at: index) }
                index += 12
            } else {
                guard unit & 0xFC00 != 0xDC00 else { throw JSONError(.loneSurrogate, at: index) }
                index += 6
            }
        default:
            throw JSONError(.invalidEscape, at: index)
        }
    }

    private func codeUnit(at start: Int, escapeAt escape: Int) throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for index in start..<start + 4 {
            guard index < end else { throw JSONError(.unexpectedEnd, at: end) }
            guard let digit = base[index].hexValue else { throw JSONError(.invalidEscape, at: escape) }
            value = value << 4 | digit
        }
        return value
    }
}
