import Dialects
import JSON
import Testing

@Suite struct MessageUsageReportTests {
    private func report(_ usage: String) throws -> MessageUsageReport {
        let document = try JSONDocument(Array(usage.utf8))
        return try MessageUsageReport(document.root, of: document)
    }

    /// A `usage` object, and the buckets: input, cached, written for minutes, written for an hour, output.
    private static let buckets: [(String, [Int64])] = [
        (#"{"input_tokens":10,"output_tokens":5}"#, [10, 0, 0, 0, 5]),
        (
            #"{"input_tokens":10,"cache_creation_input_tokens":null,"cache_read_input_tokens":null,"output_tokens":0}"#,
            [10, 0, 0, 0, 0]
        ),
        // More was cached than was not: the parts are beside each other, not inside.
        (
            #"{"input_tokens":3,"cache_creation_input_tokens":248,"cache_read_input_tokens":1800,"output_tokens":503}"#,
            [3, 1_800, 248, 0, 503]
        ),
        (
            #"{"input_tokens":3,"cache_creation_input_tokens":556,"cache_read_input_tokens":0,"output_tokens":1,"#
                + #""cache_creation":{"ephemeral_5m_input_tokens":456,"ephemeral_1h_input_tokens":100}}"#,
            [3, 0, 456, 100, 1]
        ),
        // Only the details.
        (
            #"{"input_tokens":3,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":100}}"#,
            [3, 0, 0, 100, 1]
        ),
        // Written for a time that is not told.
        (
            #"{"input_tokens":3,"output_tokens":1,"cache_creation_input_tokens":70,"cache_creation":{"ephemeral_1h_input_tokens":20}}"#,
            [3, 0, 50, 20, 1]
        ),
    ]

    @Test(arguments: buckets) func `every token is in exactly one bucket`(
        _ usage: String, _ expected: [Int64]
    ) throws {
        let report = try report(usage)
        #expect(
            [report.input, report.cachedInput, report.cacheWrite, report.cacheWriteHour, report.output]
                == expected)
        #expect(report.promptTokens == expected.dropLast().reduce(0, +))
    }

    private static let nonsense: [(String, UsageError.Reason, String)] = [
        (#"{"output_tokens":1}"#, .missing, "input_tokens"),
        (#"{"input_tokens":1}"#, .missing, "output_tokens"),
        (#"{"input_tokens":-1,"output_tokens":1}"#, .negative, "input_tokens"),
        (
            #"{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":"9"}"#, .wrongKind,
            "cache_read_input_tokens"
        ),
        (
            #"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":9223372036854775807}"#,
            .tooLarge,
            "cache_creation_input_tokens"
        ),
        (
            #"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":6}}"#,
            .exceedsWhole, "cache_creation"
        ),
        (#"{"input_tokens":1,"output_tokens":1,"cache_creation":[]}"#, .wrongKind, "cache_creation"),
        (#"[]"#, .wrongKind, "usage"),
    ]

    @Test(arguments: nonsense) func `counts that cannot be true are refused`(
        _ usage: String, _ reason: UsageError.Reason, _ field: String
    ) throws {
        let error = #expect(throws: UsageError.self) { try report(usage) }
        #expect(error?.reason == reason)
        #expect(error?.field == field)
    }
}
