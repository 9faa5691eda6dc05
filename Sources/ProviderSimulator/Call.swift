import Threads

/// One chat request being answered.
struct Call {
    static let cutTokens = 3
    private static let slowMilliseconds = 50

    let id: [UInt8]
    let head: RequestHead
    /// The model's name as the request spelled it, ready to stand between quotes.
    let model: [UInt8]
    let behaviour: Behaviour
    let isStream: Bool
    let includesUsage: Bool
    let choices: Int
    let promptTokens: Int
    /// Content chunks of each choice.
    let chunks: Int
    let finishReason: StaticString
    let chunkMilliseconds: Int
    let started = Deadline.now
    let created: Int

    /// Content chunks of each choice produced until now.
    var chunksProduced = 0
    /// Content chunks of all choices that the kernel has accepted.
    var completionTokensSent = 0
    var hasBegun = false
    /// Waits for its time, for a release, or for ever.
    var isWaiting = false
    /// Nothing more is to be produced.
    var isProduced = false
    /// How it will have ended once everything is sent.
    var outcome = Outcome.complete

    /// Creates the call that a request asks for.
    init(
        id: [UInt8], head: RequestHead, model: [UInt8], behaviour: Behaviour, request: ScannedRequest,
        options: SimulatorOptions, created: Int
    ) {
        self.id = id
        self.head = head
        self.model = model
        self.behaviour = behaviour
        self.created = created
        isStream = request.isStream
        includesUsage = request.includesUsage && behaviour != .withoutUsage
        choices = request.choices
        promptTokens = max(1, request.promptWords)
        let wanted = options.chunks ?? (behaviour == .slow ? 32 : 16)
        chunks = min(wanted, request.completionTokensMax ?? wanted)
        finishReason = chunks < wanted ? "length" : "stop"
        chunkMilliseconds =
            behaviour == .slow
            ? max(options.chunkMilliseconds, Self.slowMilliseconds) : options.chunkMilliseconds
    }

    /// Tokens of the whole answer.
    var completionTokens: Int { chunks * choices }

    /// Content chunks of each choice until the end, or until the connection is cut.
    var chunksToProduce: Int { behaviour == .cutting ? min(chunks, Self.cutTokens) : chunks }
}
