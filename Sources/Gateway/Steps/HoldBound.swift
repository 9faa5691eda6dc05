import Core
import Dialects

/// How much is held for a request.
package struct HoldPolicy: Sendable {
    /// The output cap of a request that names none.
    package var outputTokensDefault: Int64
    /// The largest output cap of any request.
    package var outputTokensMax: Int64
    /// The answer tokens that a stream holds before it begins, for each of its answers.
    package var streamInitialTokens: Int64
    /// The answer tokens that a hold must pay for at least where money is short, for each answer; 0: all of them.
    package var leastTokens: Int64

    /// Creates a policy.
    package init(
        outputTokensDefault: Int64, outputTokensMax: Int64, streamInitialTokens: Int64, leastTokens: Int64
    ) {
        self.leastTokens = leastTokens
        self.outputTokensDefault = outputTokensDefault
        self.outputTokensMax = outputTokensMax
        self.streamInitialTokens = streamInitialTokens
    }

    /// Reads `TOLLGATE_OUTPUT_TOKENS_DEFAULT` and its like.
    init(_ settings: inout Settings) {
        let tokens = 1...10_000_000
        outputTokensDefault = Int64(
            settings.integer("TOLLGATE_OUTPUT_TOKENS_DEFAULT", default: 4_096, in: tokens))
        outputTokensMax = Int64(settings.integer("TOLLGATE_OUTPUT_TOKENS_MAX", default: 131_072, in: tokens))
        streamInitialTokens = Int64(
            settings.integer("TOLLGATE_HOLD_STREAM_INITIAL_TOKENS", default: 256, in: tokens))
        leastTokens = Int64(
            settings.integer("TOLLGATE_HOLD_LEAST_OUTPUT_TOKENS", default: 16, in: 0...10_000_000))
    }
}

/// The most a request can cost, and the output cap that makes it so.
///
/// A stream holds less at first, and more as it flows.
struct HoldBound {
    /// What is held before a provider is called.
    let amount: Money
    /// What must be held at least, where that is all there is.
    let least: Money
    /// The most tokens of an answer.
    let outputCap: Int64

    /// Computes the bound with the dearest candidate.
    init(
        _ request: ChatRequest, candidates: [ProviderModel], policy: HoldPolicy
    ) throws(GatewayError) {
        guard request.messages.imageParts == 0 else { throw .unboundedParts("images") }
        guard request.messages.audioParts == 0 else { throw .unboundedParts("audio") }
        guard request.messages.fileParts == 0 else { throw .unboundedParts("files") }
        let modelMax = candidates.map(\.outputTokensMax).min() ?? policy.outputTokensMax
        let wanted = request.maxTokens.map { Int64($0) } ?? policy.outputTokensDefault
        outputCap = min(wanted, modelMax, policy.outputTokensMax)
        let first = request.stream ? min(outputCap, policy.streamInitialTokens) : outputCap
        let fewest = policy.leastTokens == 0 ? first : min(first, policy.leastTokens)
        var dearest = Money.zero
        var least = Money.zero
        for candidate in candidates {
            // Also of what is not held at once: what cannot be held in all is never begun.
            guard candidate.upperBound(of: request, outputTokens: outputCap) != nil,
                let bound = candidate.upperBound(of: request, outputTokens: first),
                let small = candidate.upperBound(of: request, outputTokens: fewest)
            else { throw .costBeyondLimit() }
            dearest = max(dearest, bound)
            least = max(least, small)
        }
        amount = dearest
        self.least = least
    }

    /// The most tokens of an answer that a hold pays for, whoever gives it.
    ///
    /// A stream may use the whole cap: its hold is raised as it flows.
    func outputCap(
        within held: Money, _ request: ChatRequest, candidates: [ProviderModel]
    ) -> Int64 {
        guard !request.stream, held < amount else { return outputCap }
        return candidates.reduce(outputCap) { cap, candidate in
            let tokens = candidate.price?.outputTokens(
                within: held, inputTokens: candidate.inputBound(of: request))
            return min(cap, (tokens ?? 0) / Int64(request.n))
        }
    }

    /// The tokens that the request is believed to take at most, for the limit of a minute.
    ///
    /// Not counted where there is none; an image that has one all the same is newer, and judges the next request by it.
    func tokens(of request: ChatRequest, limits: TenantLimits) -> Int64 {
        guard limits.tokensPerMinute != nil else { return 0 }
        let output = outputCap.multipliedReportingOverflow(by: Int64(request.n))
        guard !output.overflow else { return .max / 2 }
        return min(output.partialValue, .max / 2) + ObservedUsage.inputTokens(of: request)
    }
}

extension ProviderModel {
    /// The most prompt tokens that a request can have.
    func inputBound(of request: ChatRequest) -> Int64 {
        (Int64(request.promptBytes) + bytesPerToken - 1) / bytesPerToken
    }

    /// The most that a request with so many tokens an answer can cost; nil without a price, or beyond what can be held.
    fileprivate func upperBound(of request: ChatRequest, outputTokens: Int64) -> Money? {
        price?.upperBound(
            inputTokens: inputBound(of: request), outputTokens: outputTokens, answers: Int64(request.n))
    }
}
