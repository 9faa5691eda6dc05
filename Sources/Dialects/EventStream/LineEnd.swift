extension UInt8 {
    static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D
}

extension [UInt8] {
    /// The first carriage return or line feed at or behind a place, looked for eight bytes at a time.
    func indexOfLineEnd(from start: Int) -> Int? {
        withUnsafeBytes { bytes in
            let ones: UInt64 = 0x0101_0101_0101_0101
            var index = start
            while index + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                let feeds = word ^ (ones &* 0x0A)
                let returns = word ^ (ones &* 0x0D)
                let marks =
                    (((feeds &- ones) & ~feeds) | ((returns &- ones) & ~returns)) & (ones &* 0x80)
                // The lowest mark is exact.
                if marks != 0 { return index + marks.trailingZeroBitCount >> 3 }
                index += 8
            }
            while index < bytes.count {
                if bytes[index] == .lineFeed || bytes[index] == .carriageReturn { return index }
                index += 1
            }
            return nil
        }
    }
}
