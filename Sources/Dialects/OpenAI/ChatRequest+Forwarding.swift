import JSON

extension ChatRequest {
    /// The body as a provider gets it: the client's bytes with only what must be different.
    ///
    /// The output cap is always in it, so that no answer costs more than was held for it; a stream always reports its usage;
    /// the service tier is the one that is priced; our own fields are gone. Nothing to change means the very same bytes.
    ///
    /// - Parameters:
    ///   - upstreamModel: The provider's name for the model.
    ///   - outputCap: The most tokens an answer may have.
    ///   - outputCapField: The name under which the provider takes that number.
    package func forwardedBody(
        upstreamModel: String, outputCap: Int, outputCapField: OutputCapField
    ) -> [UInt8] {
        precondition(outputCap > 0, "an answer must be allowed at least one token")
        let root = document.root
        var splice = JSONSplice(document)
        if upstreamModel != model, let node = document.member("model", of: root) {
            splice.replace(node, with: JSONValue.string(upstreamModel).encoded)
        }
        setOutputCap(min(maxTokens ?? outputCap, outputCap), field: outputCapField, in: &splice)
        if stream { requestUsage(in: &splice) }
        if let tier = document.member("service_tier", of: root), !document.isString(tier, "default") {
            splice.replace(tier, with: JSONValue.string("default").encoded)
        }
        if let own = document.member("session_id", of: root) {
            splice.remove(own, from: root)
        }
        return splice.applied()
    }

    private func setOutputCap(_ cap: Int, field: OutputCapField, in splice: inout JSONSplice) {
        let root = document.root
        let older = document.member("max_tokens", of: root)
        let newer = document.member("max_completion_tokens", of: root)
        let (wanted, other) = field == .maxTokens ? (older, newer) : (newer, older)
        let value = Array(String(cap).utf8)
        guard let present = wanted ?? other else {
            splice.insertLast(field.rawValue, value, in: root)
            return
        }
        if !document.bytes[present.range].elementsEqual(value) {
            splice.replace(present, with: value)
        }
        if wanted == nil {
            splice.rename(present, to: field.rawValue)
        } else if let other {
            splice.remove(other, from: root)
        }
    }

    private func requestUsage(in splice: inout JSONSplice) {
        let root = document.root
        guard let options = document.member("stream_options", of: root) else {
            splice.insertLast("stream_options", Array(#"{"include_usage":true}"#.utf8), in: root)
            return
        }
        guard options.kind == .object else {
            splice.replace(options, with: Array(#"{"include_usage":true}"#.utf8))
            return
        }
        guard let flag = document.member("include_usage", of: options) else {
            splice.insertLast("include_usage", Array("true".utf8), in: options)
            return
        }
        if !includeUsage { splice.replace(flag, with: Array("true".utf8)) }
    }
}
