import Core
import TestTools
import Testing

@Suite struct MoneyTests {
    @Test func `an amount is written with nine decimals and read back as it was`() {
        var random = TestRandom(seed: 1)
        var amounts: [Int64] = [
            0, 1, 9, 10, 999_999_999, 1_000_000_000, 1_000_000_001, Money.limit.nanodollars - 1,
            Money.limit.nanodollars,
        ]
        for _ in 0..<20_000 {
            amounts.append(
                Int64.random(in: 0...Money.limit.nanodollars, using: &random)
                    >> Int64.random(in: 0..<53, using: &random))
        }
        for amount in amounts {
            let money = Money(nanodollars: amount)
            let text = money.description
            #expect(text.split(separator: ".").last?.count == 9, "\(text)")
            #expect(Money(decimal: text) == money, "\(text)")
        }
    }

    @Test(arguments: [
        (Int64(0), "0.000000000"), (1, "0.000000001"), (-1, "-0.000000001"), (1_500_000_000, "1.500000000"),
        (-12_000_000_034, "-12.000000034"), (9_000_000_000_000_000, "9000000.000000000"),
        (.min, "-9223372036.854775808"), (.max, "9223372036.854775807"),
    ])
    func `every amount can be written`(nanodollars: Int64, text: String) {
        #expect(Money(nanodollars: nanodollars).description == text)
    }

    @Test(arguments: [
        ("0", Int64(0)), ("12.5", 12_500_000_000), ("0.000000001", 1), ("7", 7_000_000_000),
        ("0000007", 7_000_000_000), ("9000000", 9_000_000_000_000_000), ("1.123456789", 1_123_456_789),
        ("1.10", 1_100_000_000),
    ])
    func `a plain decimal is an amount`(text: String, nanodollars: Int64) {
        #expect(Money(decimal: text)?.nanodollars == nanodollars)
    }

    @Test(arguments: [
        "", " ", ".", "1.", ".5", "-1", "-0", "+1", "1e3", "1E3", "0x10", "NaN", "nan", "inf", "Infinity",
        " 1", "1 ",
        "1\n", "1,5", "1_000", "1.5.0", "1..5", "1.-5", "1.+5", "1.0000000000", "0.0000000001",
        "1.1234567890",
        "9000000.000000001", "9000001", "9999999.999999999", "00000001", "10000000",
        "99999999999999999999999", "１", "1\u{0}",
        "½", "$1",
    ])
    func `anything else is refused rather than guessed`(text: String) {
        #expect(Money(decimal: text) == nil)
    }

    @Test func `what may be stored ends at the limit, on both sides of zero`() {
        let limit = Money.limit.nanodollars
        for (amount, isStorable) in [
            (limit, true), (limit + 1, false), (-limit, true), (-limit - 1, false), (0, true), (.max, false),
            (.min, false),
        ] {
            #expect(Money(nanodollars: amount).isStorable == isStorable, "\(amount)")
        }
    }

    @Test func `limits stay where a double is exact, also when holds and credit are added`() {
        let largest = Money.limit.nanodollars + 2 * Money.holdLimit.nanodollars
        #expect(Money.limit.nanodollars < 1 << 53)
        #expect(Money.holdLimit.nanodollars * 2 < Money.limit.nanodollars)
        #expect(largest < .max)
    }

    @Test func `sums, differences and comparisons are those of whole numbers`() {
        let one = Money(nanodollars: 3)
        let other = Money(nanodollars: 5)
        #expect(one + other == Money(nanodollars: 8))
        #expect(one - other == Money(nanodollars: -2))
        #expect(one < other)
        #expect(!(other < one))
        #expect(max(one, other) == other)
    }
}
