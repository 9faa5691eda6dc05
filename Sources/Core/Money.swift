/// An amount of money in nano-dollars (10⁻⁹ of the tenant's currency).
///
/// Integers only: an amount is exact from the client's header to the ledger's row. Amounts stay within ``Money/limit``, because
/// Redis scripts handle them as doubles, which are exact only below 2⁵³.
package struct Money: Sendable, Hashable, Comparable {
    /// The amount in nano-dollars.
    package let nanodollars: Int64

    /// Creates an amount of nano-dollars.
    package init(nanodollars: Int64) {
        self.nanodollars = nanodollars
    }

    /// Nothing.
    package static let zero = Money(nanodollars: 0)

    /// The largest balance, credit or sum that is stored for one tenant: nine million dollars.
    package static let limit = Money(nanodollars: 9_000_000_000_000_000)

    /// The largest hold and the largest credit limit.
    ///
    /// Below half of ``limit``, so that balance − hold + credit limit stays exact inside a Redis script.
    package static let holdLimit = Money(nanodollars: 4_000_000_000_000_000)

    /// Whether the amount may be stored at all.
    package var isStorable: Bool { nanodollars >= -Money.limit.nanodollars && self <= .limit }

    package static func < (left: Money, right: Money) -> Bool { left.nanodollars < right.nanodollars }

    /// The sum.
    ///
    /// Both amounts are within ``limit`` wherever they entered, so an overflow is a programming error and
    /// traps.
    package static func + (left: Money, right: Money) -> Money {
        Money(nanodollars: left.nanodollars + right.nanodollars)
    }

    /// The difference; traps on overflow as the sum does.
    package static func - (left: Money, right: Money) -> Money {
        Money(nanodollars: left.nanodollars - right.nanodollars)
    }
}

extension Money: CustomStringConvertible {
    /// The amount as a decimal with nine digits behind the point, as our JSON and tables show it: `"12.500000000"`.
    package var description: String {
        var text = ""
        withUTF8 { text = String(decoding: $0, as: UTF8.self) }
        return text
    }

    /// Lends the bytes of the description, without memory of their own.
    package func withUTF8(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        // Sign, ten digits at most, point, nine digits.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 21) { buffer in
            var left = nanodollars.magnitude
            var position = 21
            repeat {
                position -= 1
                buffer[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: left % 10)
                left /= 10
                if position == 12 {
                    position -= 1
                    buffer[position] = UInt8(ascii: ".")
                }
            } while left > 0 || position > 10
            if nanodollars < 0 {
                position -= 1
                buffer[position] = UInt8(ascii: "-")
            }
            body(UnsafeBufferPointer(rebasing: buffer[position...]))
        }
    }

    /// Reads a plain, unsigned decimal amount with at most nine digits behind the point; nil for anything else.
    ///
    /// Signs, exponents, blanks, NaN, a tenth decimal and amounts beyond ``limit`` are refused rather than rounded.
    package init?(decimal text: String) {
        let parts = text.utf8.split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, let dollars = Money.digits(whole, countMax: 7) else { return nil }
        var nano: Int64 = 0
        if parts.count == 2 {
            guard let fraction = Money.digits(parts[1], countMax: 9) else { return nil }
            nano = fraction
            for _ in parts[1].count..<9 { nano *= 10 }
        }
        self.init(nanodollars: dollars * 1_000_000_000 + nano)
        guard isStorable else { return nil }
    }

    private static func digits(_ text: Substring.UTF8View, countMax: Int) -> Int64? {
        guard !text.isEmpty, text.count <= countMax else { return nil }
        var value: Int64 = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        return value
    }
}
