/// The tokens of one answer, split into disjoint buckets: no token is in two of them.
///
/// Providers report overlapping numbers (OpenAI's prompt tokens include cached ones, its completion tokens include reasoning);
/// a dialect takes them apart before they get here.
package struct Usage: Sendable, Hashable {
    /// Prompt tokens that were neither cached nor audio.
    package var input: Int64
    /// Prompt tokens served from the provider's cache.
    package var cachedInput: Int64
    /// Prompt tokens written to the provider's cache for five minutes.
    package var cacheWrite: Int64
    /// Prompt tokens written to the provider's cache for an hour.
    package var cacheWriteHour: Int64
    /// Visible answer tokens.
    package var output: Int64
    /// Answer tokens spent on reasoning.
    package var reasoning: Int64
    /// Audio tokens of the prompt.
    package var audioInput: Int64
    /// Audio tokens of the answer.
    package var audioOutput: Int64

    /// Creates a usage; buckets that are not named are empty.
    package init(
        input: Int64 = 0, cachedInput: Int64 = 0, cacheWrite: Int64 = 0, cacheWriteHour: Int64 = 0,
        output: Int64 = 0, reasoning: Int64 = 0, audioInput: Int64 = 0, audioOutput: Int64 = 0
    ) {
        self.input = input
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.cacheWriteHour = cacheWriteHour
        self.output = output
        self.reasoning = reasoning
        self.audioInput = audioInput
        self.audioOutput = audioOutput
    }

    /// All prompt tokens together, as OpenAI counts them.
    package var promptTotal: Int64 { input + cachedInput + cacheWrite + cacheWriteHour + audioInput }

    /// All answer tokens together, as OpenAI counts them.
    package var completionTotal: Int64 { output + reasoning + audioOutput }

    /// All tokens together.
    package var total: Int64 { promptTotal + completionTotal }
}

/// How a charge's token counts are known.
package enum UsageSource: String, Sendable {
    /// The provider reported them.
    case provider
    /// Counted from the answer as it passed through.
    case observed
    /// Derived from sizes, because nothing else was known.
    case estimated
}
