extension JSONScanner {
    /// Scans a number; returns whether it is written as an integer.
    @inline(__always)
    mutating func scanNumber() throws(JSONError) -> Bool {
        let start = position
        var index = position
        if base[index] == .minus { index += 1 }
        if index < end, base[index] == .zero {
            index += 1
            if index < end, base[index].isDigit { throw JSONError(.invalidNumber, at: start) }
        } else {
            try scanDigits(&index, ofNumberAt: start)
        }
        var isInteger = true
        var exponent = 0
        if index < end, base[index] == UInt8(ascii: ".") {
            isInteger = false
            index += 1
            try scanDigits(&index, ofNumberAt: start)
        }
        if index < end, base[index] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            index += 1
            let exponentStart = index
            if index < end, base[index] == .minus || base[index] == UInt8(ascii: "+") { index += 1 }
            let digits = index
            try scanDigits(&index, ofNumberAt: start)
            exponent = base[exponentStart] == .minus ? 0 : clampedExponent(digits..<index)
        }
        guard index - start <= limits.numberBytesMax else { throw JSONError(.numberTooLong, at: start) }
        // Everything written with fewer digits and a smaller exponent fits a double.
        if exponent > 150 || index - start > 300 { try checkMagnitude(start..<index) }
        position = index
        return isInteger
    }

    @inline(__always)
    private func scanDigits(_ index: inout Int, ofNumberAt start: Int) throws(JSONError) {
        let first = index
        while index < end, base[index].isDigit { index += 1 }
        guard index > first else {
            guard index < end else { throw JSONError(.unexpectedEnd, at: end) }
            throw JSONError(.invalidNumber, at: start)
        }
    }

    private func clampedExponent(_ digits: Range<Int>) -> Int {
        digits.reduce(0) { min($0 * 10 + Int(base[$1] - .zero), 100_000) }
    }

    /// Refuses numbers that other parsers would turn into an infinity.
    private func checkMagnitude(_ range: Range<Int>) throws(JSONError) {
        let text = String(
            decoding: UnsafeBufferPointer(start: base + range.lowerBound, count: range.count), as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw JSONError(.numberOutOfRange, at: range.lowerBound)
        }
    }
}
