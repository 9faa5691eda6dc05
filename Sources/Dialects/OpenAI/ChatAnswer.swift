package import JSON

/// A provider's plain (not streamed) answer to a chat completion, read for what must be known to charge for it.
///
/// The body itself goes to the client as it is.
package struct ChatAnswer: Sendable {
    /// The usage; nil when the provider gave none that can be believed.
    package let usage: UsageReport?
    /// Why usage that was given could not be believed.
    package let usageError: UsageError?
    /// How much text the answer holds, in all choices together.
    package let delivered: JSONTextSize
    /// Whether it holds anything that providers charge for.
    package let hasBillableOutput: Bool
    /// Why the last choice ended.
    package let finishReason: String?
    /// The error, when the body is one in spite of its status.
    package let providerError: ProviderError?

    /// Reads an answer's body; an error when it is not an object in JSON.
    package init(_ body: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        let document = try JSONDocument(body, limits: limits)
        let root = document.root
        guard root.kind == .object else { throw JSONError(.wrongKind, at: root.range.lowerBound) }
        var report: UsageReport?
        var failure: UsageError?
        if let node = document.nonNullMember("usage", of: root) {
            do throws(UsageError) {
                report = try UsageReport(node, of: document)
            } catch {
                failure = error
            }
        }
        usage = report
        usageError = failure
        let output =
            document.member("choices", of: root).map { ChatOutput(choices: $0, of: document) } ?? ChatOutput()
        delivered = output.size
        hasBillableOutput = output.isBillable
        finishReason = output.finishReason
        providerError = document.nonNullMember("error", of: root) == nil ? nil : ProviderError(document)
    }
}
