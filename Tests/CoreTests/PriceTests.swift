import BigInt
import Core
import Foundation
import TestTools
import Testing

/// The arithmetic of money, against numbers of any size.
///
/// `TOLLGATE_TEST_PRICES` says how many random usages and prices are tried; else 100,000.
@Suite struct PriceTests {
    private static let casesCount =
        ProcessInfo.processInfo.environment["TOLLGATE_TEST_PRICES"].flatMap { Int($0) } ?? 100_000

    /// The cost by other means, nil beyond what can be stored, and whether it was rounded up.
    private func oracleCost(_ usage: Usage, _ price: Price) -> (cost: Int64?, isRoundedUp: Bool) {
        let rates = price.rates
        let parts: [(Int64, Int64)] = [
            (usage.input, rates.input), (usage.output, rates.output), (usage.cachedInput, rates.cachedInput),
            (usage.reasoning, rates.reasoning), (usage.cacheWrite, rates.cacheWrite),
            (usage.audioInput, rates.audioInput), (usage.cacheWriteHour, rates.cacheWriteHour),
            (usage.audioOutput, rates.audioOutput),
        ]
        let sum = parts.reduce(BigInt(0)) { $0 + BigInt($1.0) * BigInt($1.1) }
        let (whole, rest) = sum.quotientAndRemainder(dividingBy: 1_000_000)
        let isRoundedUp = rest * 2 >= 1_000_000
        let cost = whole + (isRoundedUp ? 1 : 0) + BigInt(price.perRequest.nanodollars)
        return (cost <= BigInt(Money.limit.nanodollars) ? Int64(cost) : nil, isRoundedUp)
    }

    /// A number with a random number of bits, so that all sizes are as likely.
    private func number(bitsMax: Int, _ random: inout TestRandom) -> Int64 {
        let bits = Int.random(in: 0...bitsMax, using: &random)
        return bits == 0 ? 0 : Int64(random.next() >> UInt64(64 - bits))
    }

    private func rates(bitsMax: Int, _ random: inout TestRandom) -> Price.Rates {
        func rate() -> Int64 { min(number(bitsMax: bitsMax, &random), Price.rateLimit) }
        return Price.Rates(
            input: rate(), output: rate(), cachedInput: rate(), cacheWrite: rate(), cacheWriteHour: rate(),
            reasoning: rate(), audioInput: rate(), audioOutput: rate())
    }

    @Test func `a cost is the exact sum rounded half up once, in random cases`() {
        var random = TestRandom(seed: 2)
        var beyondLimit = 0
        var roundedUp = 0
        for _ in 0..<Self.casesCount {
            let bits = Int.random(in: 1...50, using: &random)
            let price = Price(
                version: 1, rates: rates(bitsMax: bits, &random),
                perRequest: Money(nanodollars: number(bitsMax: 51, &random)))
            let tokenBits = Int.random(in: 1...53, using: &random)
            func tokens() -> Int64 { number(bitsMax: tokenBits, &random) }
            var usage = Usage(
                input: tokens(), cachedInput: tokens(), cacheWrite: tokens(), cacheWriteHour: tokens(),
                output: tokens(), reasoning: tokens(), audioInput: tokens(), audioOutput: tokens())
            if Int.random(in: 0..<8, using: &random) == 0 { usage = Usage(output: tokens()) }
            let expected = oracleCost(usage, price)
            let cost = price.cost(of: usage)?.nanodollars
            if cost != expected.cost { Issue.record("\(usage) at \(price): \(cost ?? -1)") }
            beyondLimit += expected.cost == nil ? 1 : 0
            roundedUp += expected.isRoundedUp ? 1 : 0
        }
        // Both outcomes, and both directions of rounding, must have been among them.
        #expect((Self.casesCount / 100..<Self.casesCount / 10 * 9).contains(beyondLimit))
        #expect((Self.casesCount / 10..<Self.casesCount / 10 * 9).contains(roundedUp))
    }

    @Test(arguments: [
        (Int64(499_999), Int64(0)), (500_000, 1), (500_001, 1), (1_499_999, 1), (1_500_000, 2), (1, 0),
        (0, 0),
    ])
    func `half a nano-dollar is rounded up`(rate: Int64, cost: Int64) {
        let price = Price(version: 1, rates: Price.Rates(input: rate, output: 0))
        #expect(price.cost(of: Usage(input: 1))?.nanodollars == cost)
    }

    @Test func `buckets are summed before they are rounded`() {
        let price = Price(version: 1, rates: Price.Rates(input: 250_000, output: 250_000))
        #expect(price.cost(of: Usage(input: 1, output: 1))?.nanodollars == 1)
    }

    @Test func `every bucket has a rate of its own`() {
        let rates = Price.Rates(
            input: 1_000_000, output: 16_000_000, cachedInput: 2_000_000, cacheWrite: 4_000_000,
            cacheWriteHour: 8_000_000, reasoning: 32_000_000, audioInput: 64_000_000, audioOutput: 128_000_000
        )
        let price = Price(version: 1, rates: rates, perRequest: Money(nanodollars: 256))
        let buckets: [(WritableKeyPath<Usage, Int64>, Int64)] = [
            (\.input, 1), (\.cachedInput, 2), (\.cacheWrite, 4), (\.cacheWriteHour, 8), (\.output, 16),
            (\.reasoning, 32), (\.audioInput, 64), (\.audioOutput, 128),
        ]
        for (bucket, nanodollars) in buckets {
            var usage = Usage()
            usage[keyPath: bucket] = 1
            #expect(price.cost(of: usage)?.nanodollars == nanodollars + 256)
        }
    }

    @Test func `a kind without a rate costs what its family costs`() {
        let rates = Price.Rates(input: 3, output: 5)
        #expect(
            [rates.cachedInput, rates.cacheWrite, rates.cacheWriteHour, rates.audioInput] == [3, 3, 3, 3])
        #expect([rates.reasoning, rates.audioOutput] == [5, 5])
        #expect(Price.Rates(input: 3, output: 5, cacheWrite: 7).cacheWriteHour == 7)
    }

    @Test func `no split of a usage within the bounds costs more than the bound`() {
        var random = TestRandom(seed: 3)
        var checked = 0
        for _ in 0..<20_000 {
            let price = Price(
                version: 1, rates: rates(bitsMax: 50, &random),
                perRequest: Money(nanodollars: number(bitsMax: 40, &random)))
            let inputBound = number(bitsMax: 25, &random)
            let outputCap = number(bitsMax: 20, &random)
            let answers = Int64.random(in: 1...8, using: &random)
            guard
                let bound = price.upperBound(
                    inputTokens: inputBound, outputTokens: outputCap, answers: answers)
            else { continue }
            checked += 1
            let input = split(Int64.random(in: 0...inputBound, using: &random), into: 5, &random)
            let output = split(Int64.random(in: 0...outputCap * answers, using: &random), into: 3, &random)
            let usage = Usage(
                input: input[0], cachedInput: input[1], cacheWrite: input[2], cacheWriteHour: input[3],
                output: output[0], reasoning: output[1], audioInput: input[4], audioOutput: output[2])
            #expect((price.cost(of: usage) ?? .limit) <= bound, "\(usage) at \(price)")
        }
        #expect(checked > 10_000)
    }

    private func split(_ whole: Int64, into count: Int, _ random: inout TestRandom) -> [Int64] {
        var parts: [Int64] = []
        var rest = whole
        for _ in 1..<count {
            // Often everything in one part: that is where a forgotten kind would show.
            let part = Bool.random(using: &random) ? Int64.random(in: 0...rest, using: &random) : 0
            parts.append(part)
            rest -= part
        }
        return (parts + [rest]).shuffled(using: &random)
    }

    @Test func `the bound is reached by the dearest kinds, so it is not larger than it must be`() {
        var random = TestRandom(seed: 4)
        for _ in 0..<1_000 {
            let rates = rates(bitsMax: 30, &random)
            let price = Price(version: 1, rates: rates, perRequest: Money(nanodollars: 7))
            let prompt: [WritableKeyPath<Usage, Int64>] = [
                \.input, \.cachedInput, \.cacheWrite, \.cacheWriteHour, \.audioInput,
            ]
            let answer: [WritableKeyPath<Usage, Int64>] = [\.output, \.reasoning, \.audioOutput]
            var costs: [Money?] = []
            for input in prompt {
                for output in answer {
                    var usage = Usage()
                    usage[keyPath: input] = 1_000
                    usage[keyPath: output] = 400
                    costs.append(price.cost(of: usage))
                }
            }
            let bound = price.upperBound(inputTokens: 1_000, outputTokens: 100, answers: 4)
            #expect(costs.compactMap { $0 }.max() == bound)
        }
    }

    @Test func `a bound beyond the largest hold is none`() {
        let price = Price(version: 1, rates: Price.Rates(input: 1_000_000, output: 0))
        let limit = Money.holdLimit.nanodollars
        #expect(price.upperBound(inputTokens: limit, outputTokens: 0, answers: 1) == .holdLimit)
        #expect(price.upperBound(inputTokens: limit + 1, outputTokens: 0, answers: 1) == nil)
        let dearest = Price(
            version: 1, rates: Price.Rates(input: Price.rateLimit, output: Price.rateLimit),
            perRequest: .holdLimit)
        #expect(dearest.upperBound(inputTokens: .max, outputTokens: .max, answers: 8) == nil)
    }

    @Test func `tokens are counted together as the client's dialect counts them`() {
        let usage = Usage(
            input: 1, cachedInput: 2, cacheWrite: 4, cacheWriteHour: 8, output: 16, reasoning: 32,
            audioInput: 64,
            audioOutput: 128)
        #expect(usage.promptTotal == 1 + 2 + 4 + 8 + 64)
        #expect(usage.completionTotal == 16 + 32 + 128)
    }
}
