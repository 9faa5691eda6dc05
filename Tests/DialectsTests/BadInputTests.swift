import Dialects
import JSON
import Testing

/// The rows of the bad-input catalogue that a request's body can break, each with what the client is told.
@Suite struct BadInputTests {
    private func error(for body: [UInt8], limits: ChatRequest.Limits = .init()) -> DialectError? {
        do throws(DialectError) {
            _ = try ChatRequest(body, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    private func expect(
        _ members: String, _ code: String, _ param: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = error(for: chatBody(members))
        #expect(error?.code == code, sourceLocation: sourceLocation)
        #expect(error?.param == param, sourceLocation: sourceLocation)
        #expect(
            error?.status == 400 && error?.type == "invalid_request_error", sourceLocation: sourceLocation)
    }

    @Test(arguments: ["", "  \r\n\t "]) func `row 12, an empty body is refused`(_ body: String) {
        #expect(
            error(for: Array(body.utf8))
                == DialectError(
                    code: "invalid_json", message: "The request body is empty. Expected a JSON object."))
    }

    @Test(arguments: [
        "{", "{'model':'x'}", "{}x", "{}{}", "\u{FEFF}{}", #"{"a":NaN}"#, #"{"a":Infinity}"#,
        #"{"a":-Infinity}"#,
        #"{"a":1,}"#, "model=gpt-4o",
    ]) func `row 13, invalid JSON is refused`(_ body: String) {
        let error = error(for: Array(body.utf8))
        #expect(error?.code == "invalid_json")
        #expect(error?.message.contains("at byte ") == true)
    }

    @Test(arguments: ["[]", "\"x\"", "null", "1", "true"]) func `row 14, anything but an object is refused`(
        _ body: String
    ) {
        let error = error(for: Array(body.utf8))
        #expect(error?.code == "invalid_type")
        #expect(error?.message.hasPrefix("The request body must be a JSON object, but it is ") == true)
    }

    @Test(arguments: [
        #""model":"gpt-4""#, #""mod\u0065l":"gpt-4""#, #""max_tokens":1,"max_tokens":2"#,
        #""stream":true,"stream_options":{"include_usage":true,"include_usage":false}"#,
        #""tools":[{"type":"function","type":"web_search"}]"#, #""x":{"y":[{"a":1,"a":1}]}"#,
    ]) func `row 15, duplicate keys are refused at every level`(_ members: String) {
        #expect(error(for: chatBody(members))?.code == "duplicate_key")
    }

    @Test func `row 16, endless nesting is refused`() {
        let nested = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        #expect(error(for: chatBody("\"x\":" + nested))?.code == "invalid_json")
        #expect(error(for: chatBody(messages: nested))?.message.contains("too deeply nested") == true)
    }

    @Test func `row 17, a million keys and huge numbers are refused`() {
        let keys = (0..<1_000_000).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(error(for: chatBody(keys))?.message.contains("too many keys") == true)
        #expect(error(for: chatBody(#""seed":1e400"#))?.message.contains("out of range") == true)
        let digits = String(repeating: "7", count: 10_000)
        #expect(error(for: chatBody("\"seed\":\(digits)"))?.message.contains("too many digits") == true)
    }

    @Test func `row 18, invalid UTF-8 and lone surrogates are refused`() {
        let broken = chatBody("\"user\":\"") + [0xC3, 0x28] + Array("\"}".utf8)
        #expect(error(for: broken)?.message.contains("invalid UTF-8") == true)
        #expect(error(for: chatBody(#""user":"\ud800""#))?.message.contains("surrogate") == true)
    }

    @Test func `row 19, a NUL is passed on in content and refused in names that we store`() throws {
        let body = chatBody(messages: #"[{"role":"user","content":"a\u0000b"}]"#)
        let request = try ChatRequest(body)
        #expect(
            request.forwardedBody(upstreamModel: "gpt-4o", outputCap: 5, outputCapField: .maxTokens).count
                > body.count)
        expect(#""user":"a\u0000""#, "invalid_value", "user")
        expect(#""session_id":"a\n""#, "invalid_value", "session_id")
        #expect(error(for: Array(#"{"model":"a\u0000","messages":[]}"#.utf8))?.param == "model")
    }

    @Test(arguments: [
        ("-1", "integer_below_min_value"), ("0", "integer_below_min_value"),
        ("-0", "integer_below_min_value"),
        ("1.5", "invalid_type"), ("1e3", "invalid_type"), ("100.0", "invalid_type"),
        (#""100""#, "invalid_type"),
        ("true", "invalid_type"), ("[]", "invalid_type"), ("9223372036854775808", "integer_above_max_value"),
        ("9223372036854775807", "integer_above_max_value"),
        ("-9223372036854775809", "integer_below_min_value"),
    ]) func `row 26, an output cap is a positive integer`(_ value: String, _ code: String) {
        for field in ["max_tokens", "max_completion_tokens"] {
            expect("\"\(field)\":\(value)", code, field)
        }
    }

    @Test func `row 26, the message says what was expected and what came`() {
        #expect(
            error(for: chatBody(#""max_tokens":"100""#))?.message
                == "Invalid type for 'max_tokens': expected an integer, but got a string instead.")
        #expect(
            error(for: chatBody(#""max_tokens":0"#))?.message
                == "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead."
        )
    }

    @Test func `row 27, two different output caps are refused`() {
        expect(#""max_tokens":5,"max_completion_tokens":6"#, "invalid_value", "max_tokens")
    }

    @Test func `row 28, the number of answers is limited`() {
        expect(#""n":0"#, "integer_below_min_value", "n")
        expect(#""n":-1"#, "integer_below_min_value", "n")
        expect(#""n":9"#, "integer_above_max_value", "n")
        expect(#""n":1000"#, "integer_above_max_value", "n")
        expect(#""n":1.5"#, "invalid_type", "n")
        expect(#""best_of":3"#, "unsupported_parameter", "best_of")
        #expect(error(for: chatBody(#""n":2"#), limits: .init(choicesMax: 1))?.param == "n")
    }

    @Test func `row 29, sampling settings must be numbers within their ranges`() {
        expect(#""temperature":2.01"#, "decimal_above_max_value", "temperature")
        expect(#""temperature":-0.1"#, "decimal_below_min_value", "temperature")
        expect(#""temperature":"1""#, "invalid_type", "temperature")
        expect(#""top_p":1.1"#, "decimal_above_max_value", "top_p")
        expect(#""presence_penalty":-2.5"#, "decimal_below_min_value", "presence_penalty")
        expect(#""frequency_penalty":3"#, "decimal_above_max_value", "frequency_penalty")
    }

    @Test(arguments: [
        (#"[]"#, "empty_array", "messages"),
        (#"{}"#, "invalid_type", "messages"),
        (#""Hi""#, "invalid_type", "messages"),
        (#"null"#, "invalid_type", "messages"),
        (#"["Hi"]"#, "invalid_type", "messages[0]"),
        (#"[{"content":"Hi"}]"#, "missing_required_parameter", "messages[0].role"),
        (#"[{"role":1,"content":"Hi"}]"#, "invalid_type", "messages[0].role"),
        (#"[{"role":"User","content":"Hi"}]"#, "invalid_value", "messages[0].role"),
        (#"[{"role":"user"}]"#, "missing_required_parameter", "messages[0].content"),
        (#"[{"role":"user","content":null}]"#, "missing_required_parameter", "messages[0].content"),
        (#"[{"role":"assistant","content":null}]"#, "missing_required_parameter", "messages[0].content"),
        (#"[{"role":"assistant","tool_calls":[]}]"#, "missing_required_parameter", "messages[0].content"),
        (#"[{"role":"assistant","tool_calls":{}}]"#, "invalid_type", "messages[0].tool_calls"),
        (#"[{"role":"assistant","tool_calls":["x"]}]"#, "invalid_type", "messages[0].tool_calls[0]"),
        (#"[{"role":"assistant","audio":{"id":"a"}}]"#, "unsupported_parameter", "messages[0].audio"),
        (#"[{"role":"tool","content":"x"}]"#, "missing_required_parameter", "messages[0].tool_call_id"),
        (#"[{"role":"user","content":5}]"#, "invalid_type", "messages[0].content"),
        (#"[{"role":"user","content":{}}]"#, "invalid_type", "messages[0].content"),
        (#"[{"role":"user","content":["x"]}]"#, "invalid_type", "messages[0].content[0]"),
        (#"[{"role":"user","content":[{}]}]"#, "missing_required_parameter", "messages[0].content[0].type"),
        (
            #"[{"role":"user","content":[{"type":"video_url"}]}]"#, "invalid_value",
            "messages[0].content[0].type"
        ),
        (#"[{"role":"user","content":[{"type":7}]}]"#, "invalid_value", "messages[0].content[0].type"),
        (
            #"[{"role":"user","content":[{"type":"text"}]}]"#, "missing_required_parameter",
            "messages[0].content[0].text"
        ),
        (
            #"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":1}]}]"#,
            "invalid_type", "messages[1].content[1].text"
        ),
        (
            #"[{"role":"user","content":[{"type":"image_url","image_url":"https://x"}]}]"#, "invalid_type",
            "messages[0].content[0].image_url"
        ),
        (
            #"[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]"#,
            "missing_required_parameter",
            "messages[0].content[0].input_audio.data"
        ),
        (
            #"[{"role":"user","content":[{"type":"file","file":{}}]}]"#, "missing_required_parameter",
            "messages[0].content[0].file.file_data"
        ),
    ]) func `row 30, messages of the wrong shape are refused by their path`(
        _ messages: String, _ code: String, _ param: String
    ) {
        let error = error(for: chatBody(messages: messages))
        #expect(error?.code == code)
        #expect(error?.param == param)
        #expect(error?.message.contains("'\(param)'") == true)
    }

    @Test func `row 30, model and messages must be there`() {
        #expect(
            error(for: Array(#"{"messages":[]}"#.utf8))?.message == "Missing required parameter: 'model'.")
        #expect(
            error(for: Array(#"{"model":"m"}"#.utf8))?.message == "Missing required parameter: 'messages'.")
        #expect(error(for: Array(#"{"model":"","messages":[]}"#.utf8))?.code == "invalid_value")
        #expect(error(for: Array(#"{"model":null,"messages":[]}"#.utf8))?.code == "invalid_type")
        let long = String(repeating: "m", count: 257)
        #expect(error(for: Array(#"{"model":"\#(long)"}"#.utf8))?.code == "string_above_max_length")
    }

    @Test func `row 31, stream and its options have their types`() {
        expect(#""stream":"true""#, "invalid_type", "stream")
        expect(#""stream":1"#, "invalid_type", "stream")
        expect(#""stream_options":{"include_usage":true}"#, "invalid_value", "stream_options")
        expect(#""stream":false,"stream_options":{}"#, "invalid_value", "stream_options")
        expect(#""stream":true,"stream_options":true"#, "invalid_type", "stream_options")
        expect(
            #""stream":true,"stream_options":{"include_usage":"yes"}"#, "invalid_type",
            "stream_options.include_usage")
    }

    @Test(arguments: ["flex", "priority", "scale", "", "Default"])
    func `row 32, an unpriced service tier is refused`(
        _ tier: String
    ) {
        expect("\"service_tier\":\"\(tier)\"", "unsupported_value", "service_tier")
    }

    @Test(arguments: [
        (#""background":true"#, "background"), (#""web_search_options":{}"#, "web_search_options"),
        (#""audio":{"voice":"a"}"#, "audio"), (#""modalities":["text","audio"]"#, "modalities"),
        (#""prediction":{"type":"content","content":"x"}"#, "prediction"),
        (#""tools":[{"type":"function"},{"type":"web_search"}]"#, "tools[1].type"),
        (#""tools":[{"type":"code_interpreter"}]"#, "tools[0].type"), (#""plugins":[]"#, "plugins"),
        (#""models":["a","b"]"#, "models"), (#""search_parameters":{}"#, "search_parameters"),
        (#""enable_search":true"#, "enable_search"),
    ]) func `row 32, what changes the bill unseen is refused`(_ members: String, _ param: String) {
        expect(members, "unsupported_parameter", param)
    }

    @Test func `row 32, the shape of tools and modalities is checked`() {
        expect(#""service_tier":1"#, "invalid_type", "service_tier")
        expect(#""tools":{}"#, "invalid_type", "tools")
        expect(#""tools":["x"]"#, "invalid_type", "tools[0]")
        expect(#""tools":[{}]"#, "missing_required_parameter", "tools[0].type")
        expect(#""tools":[{"type":null}]"#, "invalid_type", "tools[0].type")
        expect(#""modalities":"text""#, "invalid_type", "modalities")
        expect(#""background":1"#, "invalid_type", "background")
    }

    @Test(arguments: [
        "api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "organization",
        "api\\u005fkey",
    ]) func `row 33, settings of client libraries are refused`(_ name: String) {
        let error = error(for: chatBody("\"\(name)\":null"))
        #expect(error?.code == "unknown_parameter")
        #expect(error?.message == "Unknown parameter: '\(error?.param ?? "")'.")
    }

    @Test(arguments: [
        "file:///etc/passwd", "FILE:///etc/passwd", "ftp://x", "/etc/passwd", "", "gopher:\\/\\/x",
    ])
    func `row 34, an image's URL can only be fetched by the provider, over HTTP`(_ url: String) {
        let error = error(
            for: chatBody(
                messages: #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"\#(url)"}}]}]"#
            ))
        #expect(error?.param == "messages[0].content[0].image_url.url")
    }

    @Test(arguments: ["http://169.254.169.254/", "https://[::ffff:127.0.0.1]/", "http://2130706433/"])
    func `row 34, other URLs go to the provider untouched`(_ url: String) throws {
        let body = chatBody(
            messages: #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"\#(url)"}}]}]"#)
        let sent = try ChatRequest(body).forwardedBody(
            upstreamModel: "gpt-4o", outputCap: 5, outputCapField: .maxTokens)
        #expect(text(sent).contains(url))
    }
}
