/// What one provider model's tokens cost: nano-dollars per million tokens, and flat amounts.
///
/// Immutable once published; `version` names it on every billing transaction, so that each charge can be computed again.
package struct Price: Sendable, Hashable {
    /// The number every charge stores.
    package let version: Int64
    /// Nano-dollars per million tokens of each kind.
    package let rates: Rates
    /// A flat amount a request.
    package let perRequest: Money

    /// Nano-dollars per million tokens, for each bucket of ``Usage``.
    package struct Rates: Sendable, Hashable {
        /// Prompt tokens that are neither cached nor audio.
        package var input: Int64
        /// Prompt tokens served from the provider's cache.
        package var cachedInput: Int64
        /// Prompt tokens written to the cache for five minutes.
        package var cacheWrite: Int64
        /// Prompt tokens written to the cache for an hour.
        package var cacheWriteHour: Int64
        /// Visible answer tokens.
        package var output: Int64
        /// Answer tokens spent on reasoning.
        package var reasoning: Int64
        /// Audio tokens of the prompt.
        package var audioInput: Int64
        /// Audio tokens of the answer.
        package var audioOutput: Int64

        /// Creates rates; a kind without a rate of its own costs what its family costs.
        package init(
            input: Int64, output: Int64, cachedInput: Int64? = nil, cacheWrite: Int64? = nil,
            cacheWriteHour: Int64? = nil, reasoning: Int64? = nil, audioInput: Int64? = nil,
            audioOutput: Int64? = nil
        ) {
            self.input = input
            self.output = output
            self.cachedInput = cachedInput ?? input
            self.cacheWrite = cacheWrite ?? input
            self.cacheWriteHour = cacheWriteHour ?? cacheWrite ?? input
            self.reasoning = reasoning ?? output
            self.audioInput = audioInput ?? input
            self.audioOutput = audioOutput ?? output
        }
    }

    /// Creates a published price.
    package init(version: Int64, rates: Rates, perRequest: Money = .zero) {
        self.version = version
        self.rates = rates
        self.perRequest = perRequest
    }

    /// The largest rate that may be published: $1,000 a million tokens times a thousand.
    package static let rateLimit: Int64 = 1_000_000_000_000_000

    /// What a usage costs: the exact sum, rounded half up once, plus the flat amount; nil beyond what can be stored.
    package func cost(of usage: Usage) -> Money? {
        let parts: [(Int64, Int64)] = [
            (usage.input, rates.input), (usage.cachedInput, rates.cachedInput),
            (usage.cacheWrite, rates.cacheWrite), (usage.cacheWriteHour, rates.cacheWriteHour),
            (usage.output, rates.output), (usage.reasoning, rates.reasoning),
            (usage.audioInput, rates.audioInput), (usage.audioOutput, rates.audioOutput),
        ]
        var sum: Int128 = 0
        for (tokens, rate) in parts {
            precondition(tokens >= 0 && rate >= 0, "usage and rates are checked where they enter")
            sum += Int128(tokens) * Int128(rate)
        }
        let rounded = (sum + 500_000) / 1_000_000 + Int128(perRequest.nanodollars)
        guard rounded <= Int128(Money.limit.nanodollars) else { return nil }
        return Money(nanodollars: Int64(rounded))
    }

    /// The most that a request within the given bounds can cost; nil beyond what can be held.
    ///
    /// Every prompt token is priced as the dearest prompt kind and every answer token as the dearest answer kind, so that no
    /// split of the real usage into buckets can cost more.
    package func upperBound(inputTokens: Int64, outputTokens: Int64, answers: Int64) -> Money? {
        let input = max(
            rates.input, rates.cachedInput, rates.cacheWrite, rates.cacheWriteHour, rates.audioInput)
        let output = max(rates.output, rates.reasoning, rates.audioOutput)
        let sum =
            Int128(inputTokens) * Int128(input) + Int128(outputTokens) * Int128(output) * Int128(answers)
        let bound = (sum + 500_000) / 1_000_000 + Int128(perRequest.nanodollars)
        guard bound <= Int128(Money.holdLimit.nanodollars) else { return nil }
        return Money(nanodollars: Int64(bound))
    }

    /// The most answer tokens that an amount pays for beside a prompt: those whose upper bound it is not less than.
    ///
    /// `Int64.max` when they cost nothing, 0 when it does not even pay for the prompt.
    package func outputTokens(within amount: Money, inputTokens: Int64) -> Int64 {
        let input = max(
            rates.input, rates.cachedInput, rates.cacheWrite, rates.cacheWriteHour, rates.audioInput)
        let output = max(rates.output, rates.reasoning, rates.audioOutput)
        // What is rounded down to the amount is below its next nano-dollar.
        let left =
            Int128(amount.nanodollars - perRequest.nanodollars) * 1_000_000 + 499_999
            - Int128(inputTokens) * Int128(input)
        guard left >= 0 else { return 0 }
        return output == 0 ? .max : Int64(clamping: left / Int128(output))
    }
}
