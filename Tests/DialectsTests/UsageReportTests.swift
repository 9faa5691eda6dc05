import Dialects
import JSON
import Testing

@Suite struct UsageReportTests {
    private func report(_ usage: String) throws -> UsageReport {
        let document = try JSONDocument(Array(usage.utf8))
        return try UsageReport(document.root, of: document)
    }

    /// A `usage` object, and the buckets: input, cached, audio in, output, reasoning, audio out, unexplained.
    private static let buckets: [(String, [Int64])] = [
        (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, [10, 0, 0, 5, 0, 0, 0]),
        (#"{"prompt_tokens":10,"completion_tokens":5}"#, [10, 0, 0, 5, 0, 0, 0]),
        (#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, [0, 0, 0, 0, 0, 0, 0]),
        (
            #"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"#
                + #""prompt_tokens_details":{"cached_tokens":60,"audio_tokens":10},"#
                + #""completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":5}}"#,
            [30, 60, 10, 15, 30, 5, 0]
        ),
        (
            #"{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":100},"#
                + #""completion_tokens_details":{"reasoning_tokens":50}}"#,
            [0, 100, 0, 0, 50, 0, 0]
        ),
        (
            #"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":null,"completion_tokens_details":{}}"#,
            [9, 0, 0, 1, 0, 0, 0]
        ),
        (
            #"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":null}}"#,
            [9, 0, 0, 1, 0, 0, 0]
        ),
        // Cached audio is listed in both details, and counted once.
        (
            #"{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":80,"audio_tokens":50}}"#,
            [0, 80, 20, 1, 0, 0, 0]
        ),
        // The cache's hits under a name of their own.
        (#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":4}"#, [6, 4, 0, 5, 0, 0, 0]),
        // Reasoning counted beside `completion_tokens`, as the total shows.
        (
            #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"completion_tokens_details":{"reasoning_tokens":100}}"#,
            [10, 0, 0, 5, 100, 0, 0]
        ),
        // A total with more or less than is explained.
        (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#, [10, 0, 0, 5, 0, 0, 25]),
        (#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":0}"#, [10, 0, 0, 5, 0, 0, -15]),
        (
            #"{"prompt_tokens":9007199254740991,"completion_tokens":9007199254740991,"total_tokens":9007199254740991}"#,
            [9_007_199_254_740_991, 0, 0, 9_007_199_254_740_991, 0, 0, -9_007_199_254_740_991]
        ),
    ]

    @Test(arguments: buckets) func `every token is in exactly one bucket`(
        _ usage: String, _ expected: [Int64]
    ) throws {
        let report = try report(usage)
        #expect(
            [
                report.input, report.cachedInput, report.audioInput, report.output, report.reasoning,
                report.audioOutput, report.unexplained,
            ] == expected)
        #expect(report.promptTokens == expected[0] + expected[1] + expected[2])
        #expect(report.completionTokens == expected[3] + expected[4] + expected[5])
    }

    private static let nonsense: [(String, UsageError.Reason, String)] = [
        (#"{}"#, .missing, "prompt_tokens"),
        (#"{"prompt_tokens":1}"#, .missing, "completion_tokens"),
        (#"{"prompt_tokens":null,"completion_tokens":1}"#, .missing, "prompt_tokens"),
        (#"{"prompt_tokens":-1,"completion_tokens":1}"#, .negative, "prompt_tokens"),
        (#"{"prompt_tokens":1,"completion_tokens":1.5}"#, .notAnInteger, "completion_tokens"),
        (#"{"prompt_tokens":1e2,"completion_tokens":1}"#, .notAnInteger, "prompt_tokens"),
        (#"{"prompt_tokens":"1","completion_tokens":1}"#, .wrongKind, "prompt_tokens"),
        (#"{"prompt_tokens":true,"completion_tokens":1}"#, .wrongKind, "prompt_tokens"),
        (#"{"prompt_tokens":9007199254740992,"completion_tokens":1}"#, .tooLarge, "prompt_tokens"),
        (#"{"prompt_tokens":1,"completion_tokens":9223372036854775808}"#, .tooLarge, "completion_tokens"),
        (#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":-2}"#, .negative, "total_tokens"),
        (
            #"{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}"#,
            .exceedsWhole,
            "cached_tokens"
        ),
        (
            #"{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":{"audio_tokens":2}}"#,
            .exceedsWhole,
            "audio_tokens"
        ),
        (
            #"{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}"#,
            .exceedsWhole, "reasoning_tokens"
        ),
        (
            #"{"prompt_tokens":1,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":2}}"#,
            .exceedsWhole, "audio_tokens"
        ),
        (
            #"{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":[]}"#, .wrongKind,
            "prompt_tokens_details"
        ),
        (
            #"{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":-1}}"#,
            .negative, "reasoning_tokens"
        ),
        (#"[]"#, .wrongKind, "usage"), (#"5"#, .wrongKind, "usage"),
    ]

    @Test(arguments: nonsense) func `counts that cannot be true are refused`(
        _ usage: String, _ reason: UsageError.Reason, _ field: String
    ) throws {
        let error = #expect(throws: UsageError.self) { try report(usage) }
        #expect(error?.reason == reason)
        #expect(error?.field == field)
    }
}
