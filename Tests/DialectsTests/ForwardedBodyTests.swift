import Dialects
import JSON
import TestTools
import Testing

@Suite struct ForwardedBodyTests {
    private func forwarded(
        _ members: String, model: String = "gpt-4o", cap: Int = 100, field: OutputCapField = .maxTokens
    ) throws -> String {
        let request = try ChatRequest(chatBody(members))
        let body = request.forwardedBody(upstreamModel: model, outputCap: cap, outputCapField: field)
        #expect(throws: Never.self) { try JSONDocument(body) }
        let head = #"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]"#
        return text(body.dropFirst(text(body).hasPrefix(head) ? head.utf8.count : 0))
    }

    @Test func `nothing to change gives the very same bytes`() throws {
        let body = Array(
            (" {\"model\" : \"m\", \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}],\n"
                + "\"max_tokens\": 100, \"stream\":true,\"stream_options\":{ \"include_usage\":true }, "
                + "\"service_tier\":\"default\"} \n").utf8)
        let request = try ChatRequest(body)
        #expect(request.forwardedBody(upstreamModel: "m", outputCap: 100, outputCapField: .maxTokens) == body)
    }

    @Test func `the model is replaced by the provider's name for it`() throws {
        #expect(
            try forwarded(#""max_tokens":5"#, model: "azure/\"gpt\"")
                == #"{"model":"azure/\"gpt\"","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#)
    }

    private static let caps: [(String, OutputCapField, String)] = [
        ("", .maxTokens, #","max_tokens":100}"#),
        ("", .maxCompletionTokens, #","max_completion_tokens":100}"#),
        (#""max_tokens": 7"#, .maxTokens, #","max_tokens": 7}"#),
        (#""max_tokens": 100"#, .maxTokens, #","max_tokens": 100}"#),
        (#""max_tokens": 101"#, .maxTokens, #","max_tokens": 100}"#),
        (#""max_tokens": 9007199254740992"#, .maxTokens, #","max_tokens": 100}"#),
        (#""max_tokens": null"#, .maxTokens, #","max_tokens": 100}"#),
        (#""max_tokens": 7"#, .maxCompletionTokens, #","max_completion_tokens": 7}"#),
        (#""max_tokens": 101"#, .maxCompletionTokens, #","max_completion_tokens": 100}"#),
        (#""max_tokens": null"#, .maxCompletionTokens, #","max_completion_tokens": 100}"#),
        (#""max_completion_tokens": 7"#, .maxTokens, #","max_tokens": 7}"#),
        (#""max_completion_tokens": 7"#, .maxCompletionTokens, #","max_completion_tokens": 7}"#),
        (#""max_tokens":7,"max_completion_tokens":7"#, .maxTokens, #","max_tokens":7}"#),
        (#""max_tokens":7,"max_completion_tokens":7"#, .maxCompletionTokens, #","max_completion_tokens":7}"#),
        (#""max_tokens":700,"max_completion_tokens":700,"n":1"#, .maxTokens, #","max_tokens":100,"n":1}"#),
        (#""max_tokens":null,"max_completion_tokens":7"#, .maxTokens, #","max_tokens":7}"#),
        (
            #""max_tokens":7,"max_completion_tokens":null"#, .maxCompletionTokens,
            #","max_completion_tokens":7}"#
        ),
        (#""max_\u0074okens":700"#, .maxTokens, #","max_\u0074okens":100}"#),
    ]

    @Test(arguments: caps)
    func `the output cap is always sent, under the provider's name and never above the limit`(
        _ members: String, _ field: OutputCapField, _ expected: String
    ) throws {
        #expect(try forwarded(members, field: field) == expected)
    }

    private static let streams: [(String, String)] = [
        (#""stream":true"#, #","stream":true,"stream_options":{"include_usage":true}}"#),
        (
            #""stream":true,"stream_options":{"include_usage":true}"#,
            #","stream":true,"stream_options":{"include_usage":true}}"#
        ),
        (
            #""stream":true,"stream_options":{"include_usage": false}"#,
            #","stream":true,"stream_options":{"include_usage": true}}"#
        ),
        (
            #""stream":true,"stream_options":{"include_usage":null}"#,
            #","stream":true,"stream_options":{"include_usage":true}}"#
        ),
        (
            #""stream":true,"stream_options":{ }"#,
            #","stream":true,"stream_options":{"include_usage":true }}"#
        ),
        (
            #""stream":true,"stream_options":{"include_obfuscation":false}"#,
            #","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#
        ),
        (
            #""stream":true,"stream_options":null"#,
            #","stream":true,"stream_options":{"include_usage":true}}"#
        ),
        (#""stream":false"#, #","stream":false}"#),
        (#""stream":null,"stream_options":null"#, #","stream":null,"stream_options":null}"#),
    ]

    @Test(arguments: streams) func `a stream always reports its usage, a plain answer is not asked`(
        _ members: String, _ expected: String
    ) throws {
        #expect(try forwarded(#""max_tokens":5,"# + members) == #","max_tokens":5"# + expected)
    }

    @Test(arguments: [#""auto""#, #""standard""#, #""default""#, "null"])
    func `the service tier is the priced one`(
        _ tier: String
    ) throws {
        #expect(
            try forwarded("\"service_tier\":\(tier),\"max_tokens\":5")
                == #","service_tier":"default","max_tokens":5}"#)
    }

    @Test func `our own fields do not reach the provider`() throws {
        #expect(try forwarded(#""max_tokens":5,"session_id":"s""#) == #","max_tokens":5}"#)
        #expect(try forwarded(#""session_id":"s""#) == #","max_tokens":100}"#)
        #expect(try forwarded(#""session_id":null,"max_tokens":5"#) == #","max_tokens":5}"#)
        #expect(
            try forwarded(#""metadata":{"session_id":"s"},"max_tokens":5"#)
                == #","metadata":{"session_id":"s"},"max_tokens":5}"#)
    }

    @Test func `everything is changed at once`() throws {
        #expect(
            try forwarded(
                #""session_id":"s","max_tokens":500,"stream":true,"service_tier":"auto","x":[1, 2]"#,
                model: "b",
                field: .maxCompletionTokens)
                == #"{"model":"b","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":100,"#
                + #""stream":true,"service_tier":"default","x":[1, 2],"stream_options":{"include_usage":true}}"#
        )
    }
}

@Suite struct ForwardedBodyPropertyTests {
    /// Members that a client may send, each with several values.
    private static let choices: [(String, [String])] = [
        ("max_tokens", ["1", "100", "5000", "null"]),
        ("max_completion_tokens", ["1", "100", "5000", "null"]),
        ("stream", ["true", "false", "null"]),
        ("stream_options", ["{}", #"{"include_usage":false}"#, #"{"x":1,"include_usage":true}"#, "null"]),
        ("service_tier", [#""auto""#, #""default""#, "null"]), ("session_id", [#""s""#, "null"]),
        ("temperature", ["0.7"]), ("x", [#"{"session_id":1,"max_tokens":9}"#]),
    ]

    @Test func `whatever a client combines, the provider gets the cap, the usage flag and the tier`() throws {
        var accepted = 0
        var random = TestRandom(seed: 3)
        for round in 0..<20_000 {
            var members = [#""model":"m""#, #""messages":[{"role":"user","content":"Hi"}]"#]
            for (key, values) in ForwardedBodyPropertyTests.choices where Bool.random(using: &random) {
                members.append("\"\(key)\": \(values.randomElement(using: &random) ?? "null")")
            }
            members.shuffle(using: &random)
            let body = Array("{ \(members.joined(separator: " ,\n")) }".utf8)
            guard let request = try? ChatRequest(body) else { continue }
            accepted += 1
            let (field, other) =
                round.isMultiple(of: 2)
                ? (OutputCapField.maxTokens, OutputCapField.maxCompletionTokens)
                : (.maxCompletionTokens, .maxTokens)
            let sent = try JSONValue(
                parsing: request.forwardedBody(upstreamModel: "up", outputCap: 50, outputCapField: field))
            let cap = try #require(sent[field.rawValue]?.int64Value, "\(text(body))")
            #expect(cap == min(50, Int64(request.maxTokens ?? 50)), "\(text(body))")
            #expect(sent[other.rawValue] == nil && sent["session_id"] == nil, "\(text(body))")
            #expect(sent["model"] == .string("up"))
            #expect(
                !request.stream || sent["stream_options"]?["include_usage"] == .bool(true), "\(text(body))")
            let before = try JSONValue(parsing: body)
            #expect(
                before["service_tier"] == nil || sent["service_tier"] == .string("default"), "\(text(body))")
            for key in ["messages", "temperature", "x", "stream"] {
                #expect(before[key] == sent[key], "\(text(body))")
            }
        }
        #expect(accepted > 1_000)
    }
}
