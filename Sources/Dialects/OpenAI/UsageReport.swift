package import JSON

/// The tokens of one answer as an OpenAI-shaped `usage` object reports them, split into buckets that do not overlap.
///
/// OpenAI's `prompt_tokens` includes cached and audio tokens and its `completion_tokens` includes reasoning and audio tokens;
/// here every token is in exactly one bucket, so that each can be multiplied by its own price.
package struct UsageReport: Sendable, Equatable {
    /// Text tokens of the prompt that were not cached.
    package let input: Int64
    /// Tokens of the prompt that came from the provider's cache.
    package let cachedInput: Int64
    /// Audio tokens of the prompt that were not cached.
    package let audioInput: Int64
    /// Text tokens of the answer that can be seen.
    package let output: Int64
    /// Tokens of the answer that the model only thought.
    package let reasoning: Int64
    /// Audio tokens of the answer.
    package let audioOutput: Int64
    /// What the provider's own total has beyond the buckets; negative when it has less, 0 when it gave none.
    ///
    /// Anything but 0 means that the provider counts differently from what is documented: a matter for an alarm.
    package let unexplained: Int64

    /// All tokens of the prompt.
    package var promptTokens: Int64 { input + cachedInput + audioInput }

    /// All tokens of the answer.
    package var completionTokens: Int64 { output + reasoning + audioOutput }

    /// Reads a `usage` object, and refuses numbers that cannot be true.
    package init(_ usage: JSONNode, of document: JSONDocument) throws(UsageError) {
        guard usage.kind == .object else { throw UsageError(.wrongKind, field: "usage") }
        let source = UsageFields(document: document, usage: usage)
        let prompt = try source.required("prompt_tokens")
        let completion = try source.required("completion_tokens")
        let total = try source.optional("total_tokens")
        let promptDetails = document.nonNullMember("prompt_tokens_details", of: usage)
        let completionDetails = document.nonNullMember("completion_tokens_details", of: usage)
        let cachedDetail = try source.optional("cached_tokens", in: promptDetails)
        let cacheHits = try source.optional("prompt_cache_hit_tokens")
        let cached = cachedDetail ?? cacheHits ?? 0
        let audioIn = try source.optional("audio_tokens", in: promptDetails) ?? 0
        let thought = try source.optional("reasoning_tokens", in: completionDetails) ?? 0
        let audioOut = try source.optional("audio_tokens", in: completionDetails) ?? 0

        guard cached <= prompt else { throw UsageError(.exceedsWhole, field: "cached_tokens") }
        guard audioIn <= prompt else { throw UsageError(.exceedsWhole, field: "audio_tokens") }
        cachedInput = cached
        // Cached audio is in both details; it is counted as cached.
        audioInput = min(audioIn, prompt - cached)
        input = prompt - cachedInput - audioInput

        // Some providers count reasoning beside `completion_tokens`, which only their total shows.
        let isBeside = thought > 0 && total == prompt + completion + thought
        let whole = isBeside ? completion + thought : completion
        guard thought <= whole else { throw UsageError(.exceedsWhole, field: "reasoning_tokens") }
        guard thought + audioOut <= whole else { throw UsageError(.exceedsWhole, field: "audio_tokens") }
        reasoning = thought
        audioOutput = audioOut
        output = whole - thought - audioOut
        unexplained = total.map { $0 - prompt - whole } ?? 0
    }
}
