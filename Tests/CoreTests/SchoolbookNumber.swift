/// A number of any size as a pupil would write it, in digits from 0 to 999,999, lowest first.
///
/// Slow and plain, so that it shares nothing with the arithmetic it checks. Dividing by a million is dropping a digit.
struct SchoolbookNumber: Equatable {
    private static let base: UInt64 = 1_000_000
    private(set) var digits: [UInt64] = []

    init(_ value: Int64) {
        var rest = value.magnitude
        while rest > 0 {
            digits.append(rest % Self.base)
            rest /= Self.base
        }
    }

    static func + (left: SchoolbookNumber, right: SchoolbookNumber) -> SchoolbookNumber {
        var sum = left
        var carry: UInt64 = 0
        for index in 0..<max(left.digits.count, right.digits.count) + 1 {
            let digit = (left.digit(index)) + (right.digit(index)) + carry
            sum.set(index, digit % base)
            carry = digit / base
        }
        return sum
    }

    static func * (left: SchoolbookNumber, right: SchoolbookNumber) -> SchoolbookNumber {
        var product = SchoolbookNumber(0)
        for (shift, factor) in left.digits.enumerated() {
            var carry: UInt64 = 0
            for index in 0..<right.digits.count + 1 {
                let digit = product.digit(index + shift) + factor * right.digit(index) + carry
                product.set(index + shift, digit % base)
                carry = digit / base
            }
        }
        return product
    }

    /// A millionth, rounded half up.
    var millionthRounded: SchoolbookNumber {
        var quotient = self
        guard let last = digits.first else { return quotient }
        quotient.digits.removeFirst()
        return last >= Self.base / 2 ? quotient + SchoolbookNumber(1) : quotient
    }

    /// The value; nil when it is larger than an `Int64` holds.
    var int64: Int64? {
        var value: Int64 = 0
        for digit in digits.reversed() {
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: Int64(Self.base))
            let (sum, overflow) = product.addingReportingOverflow(Int64(digit))
            guard !isTooLarge, !overflow else { return nil }
            value = sum
        }
        return value
    }

    private func digit(_ index: Int) -> UInt64 {
        index < digits.count ? digits[index] : 0
    }

    private mutating func set(_ index: Int, _ digit: UInt64) {
        while digits.count <= index { digits.append(0) }
        digits[index] = digit
        while digits.last == 0 { digits.removeLast() }
    }
}
