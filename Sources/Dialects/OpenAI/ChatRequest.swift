package import JSON

/// The two names under which chat completions take the most tokens to answer with.
package enum OutputCapField: String, Sendable {
    /// The older name, which most providers know.
    case maxTokens = "max_tokens"
    /// The newer name, which some models insist on.
    case maxCompletionTokens = "max_completion_tokens"
}

/// A valid request for a chat completion: the client's own bytes, and what we must know about them.
///
/// Whatever could change the price without our knowing it has been refused. Fields that are unknown and harmless stay in
/// the body untouched.
package final class ChatRequest: Sendable {
    /// How much of what a request may hold.
    package struct Limits: Sendable {
        /// Bytes of the model's name.
        package var modelBytesMax: Int
        /// Answers asked for at once (`n`).
        package var choicesMax: Int
        /// Bytes of names that identify a user or a session.
        package var identifierBytesMax: Int
        /// Limits of the JSON itself.
        package var json: JSONLimits

        /// Creates limits.
        package init(
            modelBytesMax: Int = 256, choicesMax: Int = 8, identifierBytesMax: Int = 256,
            json: JSONLimits = JSONLimits()
        ) {
            self.modelBytesMax = modelBytesMax
            self.choicesMax = choicesMax
            self.identifierBytesMax = identifierBytesMax
            self.json = json
        }
    }

    /// The body, scanned.
    package let document: JSONDocument
    /// The model the client asks for.
    package let model: String
    /// Whether the answer is to be streamed.
    package let stream: Bool
    /// Whether the client wants the chunk with usage at the end of its stream.
    package let includeUsage: Bool
    /// The most tokens the client wants; nil when it named no number.
    package let maxTokens: Int?
    /// The field that named it; the newer one when both did, with the same number.
    package let maxTokensField: OutputCapField?
    /// How many answers the client wants.
    package let n: Int
    /// The client's own name for its user.
    package let user: String?
    /// Our field: the session this request belongs to.
    package let sessionID: String?
    /// What the client wants cached prompts to be found by.
    package let promptCacheKey: String?
    /// The user named in `metadata.user_id`.
    package let metadataUserID: String?
    /// The `messages` array, and what is in it.
    package let messages: ChatMessages

    /// The original bytes.
    package var body: [UInt8] { document.bytes }

    /// Bytes that can become text tokens of the prompt: the whole body, tools and schemas included, without inline files.
    package var promptBytes: Int { document.bytes.count - messages.inlineBytes }

    /// Bytes of the `messages` array, without inline files.
    package var messageBytes: Int { messages.node.range.count - messages.inlineBytes }

    /// Reads and checks a body.
    package init(_ body: [UInt8], limits: Limits = Limits()) throws(DialectError) {
        let reader = try ChatRequestReader(body, limits: limits)
        try reader.refuseUnpricedFields()
        document = reader.document
        model = try reader.readModel()
        stream = try reader.readBool("stream") ?? false
        includeUsage = try reader.readIncludeUsage(isStream: stream)
        (maxTokens, maxTokensField) = try reader.readOutputCap()
        n = try reader.readInteger("n", in: 1...limits.choicesMax) ?? 1
        user = try reader.readIdentifier("user")
        sessionID = try reader.readIdentifier("session_id")
        promptCacheKey = try reader.readIdentifier("prompt_cache_key")
        metadataUserID = reader.readMetadataUserID()
        try reader.checkSampling()
        try reader.checkServiceTier()
        try reader.checkTools()
        messages = try reader.readMessages()
    }
}

/// The `messages` of a chat request and the parts in them that are priced by the piece.
package struct ChatMessages: Sendable {
    /// The array.
    package let node: JSONNode
    /// How many messages there are.
    package internal(set) var count = 0
    /// How many images.
    package internal(set) var imageParts = 0
    /// How many pieces of audio.
    package internal(set) var audioParts = 0
    /// How many files.
    package internal(set) var fileParts = 0
    /// Bytes of images, audio and files that are in the body itself, as base64.
    package internal(set) var inlineBytes = 0
}
