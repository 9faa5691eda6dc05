package import JSON

/// The tokens of one answer as an Anthropic-shaped `usage` object reports them, split into buckets that do not overlap.
///
/// Anthropic's `input_tokens` has neither the tokens that were read from the cache nor those that were written to it; these are
/// counted beside it, and the written ones again by how long they are kept. `output_tokens` includes thinking.
package struct MessageUsageReport: Sendable, Equatable {
    /// Tokens of the prompt that were neither read from the provider's cache nor written to it.
    package let input: Int64
    /// Tokens of the prompt that came from the cache.
    package let cachedInput: Int64
    /// Tokens of the prompt written to the cache for five minutes, or for a time that is not told.
    package let cacheWrite: Int64
    /// Tokens of the prompt written to the cache for an hour.
    package let cacheWriteHour: Int64
    /// Tokens of the answer.
    package let output: Int64

    /// All tokens of the prompt.
    package var promptTokens: Int64 { input + cachedInput + cacheWrite + cacheWriteHour }

    /// Reads a `usage` object, and refuses numbers that cannot be true.
    package init(_ usage: JSONNode, of document: JSONDocument) throws(UsageError) {
        guard usage.kind == .object else { throw UsageError(.wrongKind, field: "usage") }
        let source = UsageFields(document: document, usage: usage)
        input = try source.required("input_tokens")
        output = try source.required("output_tokens")
        cachedInput = try source.optional("cache_read_input_tokens") ?? 0
        let details = document.nonNullMember("cache_creation", of: usage)
        let hour = try source.optional("ephemeral_1h_input_tokens", in: details) ?? 0
        let minutes = try source.optional("ephemeral_5m_input_tokens", in: details) ?? 0
        let written = try source.optional("cache_creation_input_tokens") ?? minutes + hour
        guard minutes + hour <= written else {
            throw UsageError(.exceedsWhole, field: "cache_creation")
        }
        cacheWriteHour = hour
        cacheWrite = written - hour
    }
}
