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

/// A `usage` object that cannot be believed, and is not charged from.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    /// What is wrong with a field.
    package enum Reason: String, Sendable {
        /// It must be there.
        case missing
        /// It is not a number, or not an object where one belongs.
        case wrongKind = "of the wrong type"
        /// It has a fraction or an exponent.
        case notAnInteger = "not an integer"
        /// It is below zero.
        case negative
        /// It is 2^53 or more.
        case tooLarge = "too large"
        /// It is a part, and larger than the whole.
        case exceedsWhole = "larger than the count that includes it"
    }

    /// What is wrong.
    package let reason: Reason
    /// The field that is wrong.
    package let field: String

    init(_ reason: Reason, field: String) {
        self.reason = reason
        self.field = field
    }

    /// The error in words.
    package var description: String { "\(field) is \(reason.rawValue)" }
}

/// Reads token counts out of a `usage` object.
private struct UsageFields {
    private static let countLimit: Int64 = 1 << 53

    let document: JSONDocument
    let usage: JSONNode

    func required(_ name: StaticString) throws(UsageError) -> Int64 {
        guard let count = try optional(name) else {
            throw UsageError(.missing, field: name.description)
        }
        return count
    }

    func optional(_ name: StaticString) throws(UsageError) -> Int64? {
        try optional(name, in: usage)
    }

    func optional(_ name: StaticString, in object: JSONNode?) throws(UsageError) -> Int64? {
        guard let object else { return nil }
        guard object.kind == .object else { throw UsageError(.wrongKind, field: document.key(of: object)) }
        guard let node = document.nonNullMember(name, of: object) else { return nil }
        let count: Int64
        do throws(JSONError) {
            count = try document.int64(node)
        } catch {
            throw UsageError(UsageFields.reason(error.reason), field: name.description)
        }
        guard count >= 0 else { throw UsageError(.negative, field: name.description) }
        guard count < UsageFields.countLimit else { throw UsageError(.tooLarge, field: name.description) }
        return count
    }

    private static func reason(_ reason: JSONError.Reason) -> UsageError.Reason {
        switch reason {
        case .notAnInteger: .notAnInteger
        case .integerOutOfRange: .tooLarge
        default: .wrongKind
        }
    }
}
