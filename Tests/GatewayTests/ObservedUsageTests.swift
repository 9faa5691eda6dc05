import Core
import Dialects
import JSON
import Testing

@testable import Gateway

@Suite struct ObservedUsageTests {
    /// The chunks of a stream with these texts.
    private func chunks(_ texts: [String]) -> [ChatChunk] {
        var reader = ChatStreamReader()
        return texts.map { text in
            let data = Array(#"{"choices":[{"index":0,"delta":{"content":"\#(text)"}}]}"#.utf8)
            return data.withUnsafeBytes { reader.read($0) }
        }
    }

    private func tokens(_ texts: [String]) -> Int64 {
        var observed = ObservedUsage()
        for chunk in chunks(texts) { observed.count(chunk) }
        return observed.outputTokens
    }

    /// Texts of events, and their tokens; long texts have four bytes a token, rounded up.
    private static let counted: [([String], Int64)] = [
        ([], 0), (["a"], 1), (["a", "b", "c"], 3), ([String(repeating: "x", count: 16)], 1),
        ([String(repeating: "x", count: 17)], 5), ([String(repeating: "x", count: 400)], 100),
        (["", "a", ""], 1),
    ]

    @Test(arguments: counted)
    func `an event is a token, or several when its text is long`(texts: [String], tokens: Int64) {
        #expect(self.tokens(texts) == tokens)
    }

    @Test func `what was counted is never taken back as the stream goes on`() {
        let texts = [String(repeating: "x", count: 100)] + Array(repeating: "y", count: 50)
        var observed = ObservedUsage()
        var before: Int64 = 0
        for chunk in chunks(texts) {
            observed.count(chunk)
            #expect(observed.outputTokens > before)
            before = observed.outputTokens
        }
        #expect(before == 25 + 50)
    }

    @Test func `events without output cost nothing`() {
        var reader = ChatStreamReader()
        var observed = ObservedUsage()
        for data in [
            #"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            #"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            #"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#, "[DONE]", "not json",
        ] {
            observed.count(Array(data.utf8).withUnsafeBytes { reader.read($0) })
        }
        #expect(observed.outputTokens == 0)
    }

    @Test func `a text's tokens are its bytes by four, rounded up`() {
        for (bytes, tokens) in [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)] as [(Int64, Int64)] {
            #expect(ObservedUsage.tokens(bytes: bytes) == tokens)
        }
    }

    @Test func `a prompt is estimated from its messages alone`() throws {
        let request = try ChatRequest(
            Array(#"{"model":"m","user":"somebody","messages":[{"role":"user","content":"12345678"}]}"#.utf8))
        #expect(
            ObservedUsage.inputTokens(of: request) == ObservedUsage.tokens(bytes: Int64(request.messageBytes))
        )
        #expect(request.messageBytes < request.body.count)
    }

    @Test func `a provider's report keeps its buckets apart`() throws {
        let document = try JSONDocument(
            Array(
                #"{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":60,"audio_tokens":10},"completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":5}}"#
                    .utf8))
        let usage = Usage(try UsageReport(document.root, of: document))
        #expect(
            usage
                == Usage(
                    input: 30, cachedInput: 60, output: 15, reasoning: 30, audioInput: 10, audioOutput: 5))
    }
}
