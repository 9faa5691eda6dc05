import Core
import Dialects
import JSON

/// Counts an answer's tokens from the outside, for answers whose provider never says.
///
/// Providers send one token an event, or a few; a token is about four bytes of English text. So each billable event counts as one
/// token, unless its text is so long that the provider must have put several together: then every four bytes count as one.
struct ObservedUsage: Sendable {
    private static let bytesPerToken: Int64 = 4
    private static let bytesPerEventMax: Int64 = 16

    /// The answer tokens of a stream, as far as it was delivered.
    private(set) var outputTokens: Int64 = 0

    /// Counts one event of a stream.
    mutating func count(_ chunk: ChatChunk) {
        guard chunk.isBillable else { return }
        let bytes = Int64(chunk.size.bytes)
        outputTokens += bytes <= ObservedUsage.bytesPerEventMax ? 1 : ObservedUsage.tokens(bytes: bytes)
    }

    /// The tokens that a text of this size probably has.
    static func tokens(bytes: Int64) -> Int64 {
        (bytes + bytesPerToken - 1) / bytesPerToken
    }

    /// The prompt's tokens, when nobody has counted them.
    static func inputTokens(of request: ChatRequest) -> Int64 {
        let document = request.document
        let schemas = ["tools", "functions", "response_format"] as [StaticString]
        let schemaBytes = schemas.reduce(0) { sum, key in
            sum + (document.member(key, of: document.root)?.range.count ?? 0)
        }
        return tokens(bytes: Int64(request.messageBytes + schemaBytes))
    }
}

extension UsageReport {
    /// What an operator should know about a report that adds up to something else than its own total.
    var oddity: String? {
        unexplained == 0 ? nil : "the reported total differs by \(unexplained) tokens"
    }
}

extension Usage {
    /// The buckets of a provider's report.
    init(_ report: UsageReport) {
        self.init(
            input: report.input, cachedInput: report.cachedInput, output: report.output,
            reasoning: report.reasoning, audioInput: report.audioInput, audioOutput: report.audioOutput)
    }
}
