import Core
import TestTools
import Testing

@Suite struct AffordableTokensTests {
    @Test func `an amount pays for exactly as many tokens as their bound says`() {
        var random = TestRandom(seed: 5)
        for _ in 0..<2_000 {
            let price = Price(
                version: 1,
                rates: Price.Rates(
                    input: Int64(random.next() % 3_000_000), output: Int64(1 + random.next() % 3_000_000)),
                perRequest: Money(nanodollars: Int64(random.next() % 20)))
            let input = Int64(random.next() % 200)
            let amount = Money(nanodollars: Int64(random.next() % 2_000))
            let tokens = price.outputTokens(within: amount, inputTokens: input)
            let bound = { (tokens: Int64) in
                price.upperBound(inputTokens: input, outputTokens: tokens, answers: 1) ?? .limit
            }
            if tokens > 0 { #expect(bound(tokens) <= amount) }
            #expect(bound(tokens + 1) > amount)
        }
    }

    @Test func `tokens that cost nothing have no end`() {
        let price = Price(version: 1, rates: Price.Rates(input: 1_000_000, output: 0))
        #expect(price.outputTokens(within: Money(nanodollars: 5), inputTokens: 5) == .max)
        #expect(price.outputTokens(within: Money(nanodollars: 4), inputTokens: 5) == 0)
    }
}
