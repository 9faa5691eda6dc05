extension [UInt8] {
    /// Appends text that is known at compile time.
    mutating func append(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends the decimal digits of a number.
    mutating func append(decimal number: Int, digits: Int = 1) {
        if number < 0 { append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        let start = count
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        while count - start < digits { append(UInt8(ascii: "0")) }
        self[start...].reverse()
    }

    /// Appends the hexadecimal digits of a number.
    mutating func append(hexadecimal number: UInt64, digits: Int = 1) {
        let used = Swift.max(digits, (64 - number.leadingZeroBitCount + 3) / 4)
        for position in stride(from: (used - 1) * 4, through: 0, by: -4) {
            let digit = UInt8(number >> UInt64(position) & 15)
            append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }

    /// Appends a JSON string, or `null`.
    mutating func append(json text: String?) {
        guard let text else {
            append("null")
            return
        }
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0..<0x20, 0x7F:
                append("\\u")
                append(hexadecimal: UInt64(byte), digits: 4)
            default:
                append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
