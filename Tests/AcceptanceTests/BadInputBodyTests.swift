import Core
import Ledger
import TestSupport
import Testing

/// The rows of the bad-input catalogue that a request's body can break, through nginx: refused, free, and unknown to providers.
@Suite struct BadInputBodyTests {
    /// Members added to a good body, and the refusal.
    struct Case: Sendable, CustomTestStringConvertible {
        let members: String
        let code: String
        let param: String?

        init(_ members: String, _ code: String, _ param: String?) {
            self.members = members
            self.code = code
            self.param = param
        }

        var testDescription: String { String(members.prefix(60)) }
    }

    private func expect(_ bad: Case) throws {
        let target = try BadInputTarget()
        let answer = try target.send(BadInputTarget.body(bad.members))
        try target.expectRefusal(answer, 400, bad.code, param: bad.param)
    }

    // MARK: - JSON

    @Test(arguments: [
        "", "   \r\n", "{", "{\"model\":\"untouched\"} x", "\u{FEFF}{}", "{'model':'untouched'}",
        #"{"temperature":NaN}"#, #"{"temperature":-Infinity}"#, "model=untouched",
        #"{"user":"\ud800"}"#, #"{"seed":1e400}"#, "{\"seed\":\(String(repeating: "7", count: 10_000))}",
    ]) func `rows 12, 13, 17 and 18: what is not JSON is refused`(_ body: String) throws {
        let target = try BadInputTarget()
        try target.expectRefusal(target.send(Array(body.utf8)), 400, "invalid_json")
    }

    @Test func `row 18: text that is not UTF-8 is refused`() throws {
        let target = try BadInputTarget()
        let body = Array(#"{"model":"untouched","user":""#.utf8) + [0xC3, 0x28, 0xFF] + Array("\"}".utf8)
        try target.expectRefusal(target.send(body), 400, "invalid_json")
    }

    @Test(arguments: ["[]", "\"text\"", "null", "1", "true"])
    func `row 14: anything but an object is refused`(_ body: String) throws {
        let target = try BadInputTarget()
        try target.expectRefusal(target.send(Array(body.utf8)), 400, "invalid_type")
    }

    @Test(arguments: [
        #""model":"sim-ok""#, #""mod\u0065l":"sim-ok""#, #""max_tokens":1,"max_tokens":4096"#,
        #""stream":true,"stream_options":{"include_usage":true,"include_usage":false}"#,
        #""tools":[{"type":"function","type":"web_search"}]"#,
    ]) func `row 15: duplicate keys are refused`(_ members: String) throws {
        try expect(Case(members, "duplicate_key", nil))
    }

    @Test func `row 16: nesting without end is refused`() throws {
        let target = try BadInputTarget()
        let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        try target.expectRefusal(target.send(BadInputTarget.body("\"x\":\(deep)")), 400, "invalid_json")
    }

    @Test func `row 17: a million keys are refused`() throws {
        let target = try BadInputTarget()
        let keys = (0..<1_000_000).map { "\"\($0)\":0" }.joined(separator: ",")
        try target.expectRefusal(target.send(BadInputTarget.body(keys)), 400, "invalid_json")
    }

    // MARK: - Fields

    @Test(arguments: [
        Case(#""max_tokens":-1"#, "integer_below_min_value", "max_tokens"),
        Case(#""max_tokens":0"#, "integer_below_min_value", "max_tokens"),
        Case(#""max_tokens":1.5"#, "invalid_type", "max_tokens"),
        Case(#""max_tokens":"100""#, "invalid_type", "max_tokens"),
        Case(#""max_tokens":9223372036854775808"#, "integer_above_max_value", "max_tokens"),
        Case(#""max_completion_tokens":-1"#, "integer_below_min_value", "max_completion_tokens"),
        Case(#""max_tokens":5,"max_completion_tokens":6"#, "invalid_value", "max_tokens"),
        Case(#""n":0"#, "integer_below_min_value", "n"),
        Case(#""n":-1"#, "integer_below_min_value", "n"),
        Case(#""n":1000"#, "integer_above_max_value", "n"),
        Case(#""best_of":2"#, "unsupported_parameter", "best_of"),
        Case(#""temperature":2.5"#, "decimal_above_max_value", "temperature"),
        Case(#""temperature":"hot""#, "invalid_type", "temperature"),
        Case(#""top_p":-0.1"#, "decimal_below_min_value", "top_p"),
        Case(#""presence_penalty":3"#, "decimal_above_max_value", "presence_penalty"),
        Case(#""stream":"true""#, "invalid_type", "stream"),
        Case(#""stream":1"#, "invalid_type", "stream"),
        Case(#""stream_options":{"include_usage":true}"#, "invalid_value", "stream_options"),
        Case(#""user":"a\u0000b""#, "invalid_value", "user"),
        Case(#""user":7"#, "invalid_type", "user"),
    ]) func `rows 19 and 26 to 31: fields beyond their type or range are refused by name`(
        _ bad: Case
    ) throws {
        try expect(bad)
    }

    @Test(arguments: [
        Case(#""service_tier":"priority""#, "unsupported_value", "service_tier"),
        Case(#""service_tier":"flex""#, "unsupported_value", "service_tier"),
        Case(#""background":true"#, "unsupported_parameter", "background"),
        Case(#""web_search_options":{}"#, "unsupported_parameter", "web_search_options"),
        Case(#""modalities":["text","audio"]"#, "unsupported_parameter", "modalities"),
        Case(#""prediction":{"type":"content","content":"x"}"#, "unsupported_parameter", "prediction"),
        Case(#""tools":[{"type":"web_search"}]"#, "unsupported_parameter", "tools[0].type"),
        Case(#""plugins":[]"#, "unsupported_parameter", "plugins"),
        Case(#""models":["sim-ok"]"#, "unsupported_parameter", "models"),
        Case(#""api_base":"http://127.0.0.1:1""#, "unknown_parameter", "api_base"),
        Case(#""base_url":"http://127.0.0.1:1""#, "unknown_parameter", "base_url"),
        Case(#""api_key":"sk-1""#, "unknown_parameter", "api_key"),
        Case(#""headers":{"x":"y"}"#, "unknown_parameter", "headers"),
    ]) func `rows 32 and 33: what changes the bill or the way is refused by name`(_ bad: Case) throws {
        try expect(bad)
    }

    @Test(arguments: [
        (#"[]"#, "empty_array", "messages"),
        (#""Hi""#, "invalid_type", "messages"),
        (#"[{"content":"Hi"}]"#, "missing_required_parameter", "messages[0].role"),
        (#"[{"role":"robot","content":"Hi"}]"#, "invalid_value", "messages[0].role"),
        (#"[{"role":"user","content":null}]"#, "missing_required_parameter", "messages[0].content"),
        (
            #"[{"role":"user","content":[{"type":"text","text":1}]}]"#, "invalid_type",
            "messages[0].content[0].text"
        ),
        (
            #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]"#,
            "invalid_value", "messages[0].content[0].image_url.url"
        ),
        (
            #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]"#,
            "unsupported_parameter", "messages"
        ),
    ]) func `row 30: messages of the wrong shape are refused by their path`(
        _ messages: String, _ code: String, _ param: String
    ) throws {
        let target = try BadInputTarget()
        let body = #"{"model":"\#(BadInputTarget.model)","messages":\#(messages)}"#
        try target.expectRefusal(target.send(Array(body.utf8)), 400, code, param: param)
    }

    @Test func `row 30: a model and messages there must be`() throws {
        let target = try BadInputTarget()
        try target.expectRefusal(
            target.send(Array(#"{"messages":[]}"#.utf8)), 400, "missing_required_parameter", param: "model")
        try target.expectRefusal(
            target.send(Array(#"{"model":"untouched"}"#.utf8)), 400, "missing_required_parameter",
            param: "messages")
    }

    // MARK: - What looks odd and is good

    @Test(arguments: [
        #""max_tokens":16,"max_completion_tokens":16"#, #""service_tier":"auto""#,
        #""service_tier":"standard""#, #""store":null,"x_unknown":{"deep":[1,2,{"a":null}]}"#,
        #""stream":false,"stream_options":null"#, #""temperature":2,"top_p":1.0"#, #""user":"\u00e9 ?""#,
        #""session_id":"s-1","metadata":{"user_id":"u"}"#, #""tools":[{"type":"function"}]"#,
    ]) func `what is unknown but harmless, or left to us, is served`(_ members: String) throws {
        let caller = try EndpointsCaller("good", at: try EndpointsGateway.shared())
        #expect(try caller.chat("sim-ok", members).status == 200)
        try caller.expectExactCharges(requests: 1)
    }

    @Test func `row 19: a NUL in a message goes to the provider as it came`() throws {
        let scene = try StreamingScene("nul")
        let client = try StreamingClient(scene.gateway.url)
        let messages = #"[{"role":"user","content":"a\u0000b"}]"#
        client.postChat(key: scene.caller.key, #"{"model":"\#(scene.model)","messages":\#(messages)}"#)
        let call = try scene.provider.call()
        #expect(call.request.contains(messages))
        call.answer(
            "200 OK",
            #"{"choices":[{"message":{"content":"\u0000"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#
        )
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        #expect(try scene.caller.settledRow().charge.nanodollars == 10_000 + 30_000)
    }

    @Test func `row 26: a request without a cap is held with the default, and sent with it`() throws {
        let caller = try EndpointsCaller("cap", at: try EndpointsGateway.shared())
        #expect(try caller.chat("sim-ok").status == 200)
        let bytes = Int64(EndpointsCaller.body("sim-ok").utf8.count)
        #expect(try caller.onlyRow().hold.nanodollars == bytes * 10_000 + 4_096 * 30_000)
    }

    @Test func `row 26: a cap beyond the model's is lowered, not refused`() throws {
        let caller = try EndpointsCaller("cap", at: try EndpointsGateway.shared())
        #expect(try caller.chat("sim-ok", #""max_tokens":9007199254740991"#).status == 200)
        let bytes = Int64(EndpointsCaller.body("sim-ok", #""max_tokens":9007199254740991"#).utf8.count)
        #expect(try caller.onlyRow().hold.nanodollars == bytes * 10_000 + 4_096 * 30_000)
    }
}
