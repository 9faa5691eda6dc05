/// Names one request everywhere: in the client's `x-request-id`, in the hold, in the ledger's row and in every log line.
///
/// A UUID of version 7 (RFC 9562): its first 48 bits are Unix milliseconds, so ids sort by time and the ledger can be
/// partitioned by them.
package struct TraceID: Sendable, Hashable, Comparable {
    /// The upper 64 bits: time, version and 12 random bits.
    package let high: UInt64
    /// The lower 64 bits: variant and 62 random bits.
    package let low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Creates an id from a time and 74 random bits.
    package init(unixMilliseconds: Int64, random: (UInt64, UInt64)) {
        let time = UInt64(truncatingIfNeeded: unixMilliseconds) << 16
        high = time | 0x7000 | (random.0 & 0x0FFF)
        low = 0x8000_0000_0000_0000 | (random.1 & 0x3FFF_FFFF_FFFF_FFFF)
    }

    /// The smallest id of a moment, for ranges.
    package init(lowestAtUnixMilliseconds milliseconds: Int64) {
        high = UInt64(truncatingIfNeeded: milliseconds) << 16
        low = 0
    }

    /// When the id was made, in Unix milliseconds.
    package var unixMilliseconds: Int64 { Int64(high >> 16) }

    /// The next larger id, for pages: no id lies between.
    package var successor: TraceID {
        let (low, overflow) = low.addingReportingOverflow(1)
        return TraceID(high: overflow ? high &+ 1 : high, low: low)
    }

    package static func < (left: TraceID, right: TraceID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension TraceID: CustomStringConvertible {
    private static let textLength = 36

    /// The canonical lower-case form with four hyphens.
    package var description: String {
        String(unsafeUninitializedCapacity: TraceID.textLength) { write(to: $0) }
    }

    /// Lends the bytes of the description, without memory of their own.
    package func withUTF8(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: TraceID.textLength) { buffer in
            _ = write(to: buffer)
            body(UnsafeBufferPointer(buffer))
        }
    }

    private func write(to buffer: UnsafeMutableBufferPointer<UInt8>) -> Int {
        precondition(buffer.count >= TraceID.textLength)
        let bytes = UnsafeMutableRawBufferPointer(buffer)
        bytes.storeBytes(of: TraceID.hexDigits(of: high >> 32), toByteOffset: 0, as: UInt64.self)
        let middle = (TraceID.hexDigits(of: high), TraceID.hexDigits(of: low >> 32))
        bytes.storeBytes(of: UInt32(truncatingIfNeeded: middle.0), toByteOffset: 9, as: UInt32.self)
        bytes.storeBytes(of: UInt32(middle.0 >> 32), toByteOffset: 14, as: UInt32.self)
        bytes.storeBytes(of: UInt32(truncatingIfNeeded: middle.1), toByteOffset: 19, as: UInt32.self)
        bytes.storeBytes(of: UInt32(middle.1 >> 32), toByteOffset: 24, as: UInt32.self)
        bytes.storeBytes(of: TraceID.hexDigits(of: low), toByteOffset: 28, as: UInt64.self)
        buffer[8] = UInt8(ascii: "-")
        buffer[13] = UInt8(ascii: "-")
        buffer[18] = UInt8(ascii: "-")
        buffer[23] = UInt8(ascii: "-")
        return TraceID.textLength
    }

    /// The eight digits of the lower 32 bits, all made at once: each in a byte, the first in the lowest.
    private static func hexDigits(of word: UInt64) -> UInt64 {
        var digits = word & 0xFFFF_FFFF
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Ten and more carry into the upper half of their byte.
        let letters = (digits &+ ones &* 6) >> 4 & ones
        let zero = UInt64(UInt8(ascii: "0")), gap = UInt64(UInt8(ascii: "a") - UInt8(ascii: "9") - 1)
        return (digits &+ ones &* zero &+ letters &* gap).byteSwapped.littleEndian
    }

    /// Reads the canonical form, in either case; nil for anything else.
    package init?(_ text: String) {
        var words: (UInt64, UInt64) = (0, 0)
        var digits = 0
        guard text.utf8.count == TraceID.textLength else { return nil }
        for (position, byte) in text.utf8.enumerated() {
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let value = TraceID.hexValue(byte) else { return nil }
            if digits < 16 {
                words.0 = words.0 << 4 | UInt64(value)
            } else {
                words.1 = words.1 << 4 | UInt64(value)
            }
            digits += 1
        }
        self.init(high: words.0, low: words.1)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
