import Dialects
import JSON
import Testing

@Suite struct ErrorBodyTests {
    private let error = OpenAIErrorBody(
        DialectError(code: "invalid_value", param: "messages[0].role", message: "Not \"so\"."))

    @Test func `an error has all four fields`() {
        #expect(
            text(error.body)
                == #"{"error":{"message":"Not \"so\".","type":"invalid_request_error","param":"messages[0].role","code":"invalid_value"}}"#
        )
        #expect(
            text(OpenAIErrorBody(message: "x", type: "server_error").body)
                == #"{"error":{"message":"x","type":"server_error","param":null,"code":null}}"#)
    }

    @Test func `events of ours are whole server-sent events`() throws {
        var parser = EventStreamParser()
        for bytes in [
            ChatStreamEvent.keepAlive, error.event, ChatStreamEvent.keepAlive, ChatStreamEvent.done,
        ] {
            bytes.withUnsafeBytes { parser.append($0) }
        }
        let first = try #require(try parser.next())
        #expect(parser.withData(of: first) { text($0) } == text(error.body))
        let second = try #require(try parser.next())
        #expect(parser.withData(of: second) { text($0) } == "[DONE]")
        #expect(try parser.next() == nil)
    }

    private static let bodies: [(String, String, String?, String?)] = [
        (#"{"error":{"message":"No","type":"t","param":null,"code":"c"}}"#, "No", "t", "c"),
        (#"{"error":{"message":"No","code":429}}"#, "No", nil, "429"),
        (#"{"error":"No"}"#, "No", nil, nil),
        (#"{"message":"No","type":"t","code":"1"}"#, "No", "t", "1"),
        (#"{"object":"error","message":"No"}"#, "No", nil, nil),
        (#"{"detail":"No"}"#, "No", nil, nil),
        (#"[{"error":{"message":"No","code":400,"status":"INVALID"}}]"#, "No", nil, "400"),
        (
            #"{"type":"error","error":{"type":"overloaded_error","message":"No"}}"#, "No", "overloaded_error",
            nil
        ),
    ]

    @Test(arguments: bodies) func `a provider's error is understood in every shape`(
        _ body: String, _ message: String, _ type: String?, _ code: String?
    ) {
        let error = ProviderError(parsing: Array(body.utf8))
        #expect(error?.message == message)
        #expect(error?.type == type)
        #expect(error?.code == code)
    }

    @Test(arguments: [
        "", "<html>Bad gateway</html>", "{}", "[]", "null", #"{"error":{}}"#, #"{"error":{"message":1}}"#,
    ])
    func `a body without a message has none`(_ body: String) {
        #expect(ProviderError(parsing: Array(body.utf8)) == nil)
    }

    @Test func `a provider's message is cut`() {
        let long = String(repeating: "é", count: 100_000)
        let error = ProviderError(parsing: Array(#"{"error":{"message":"\#(long)","code":"\#(long)"}}"#.utf8))
        #expect(error?.message.count == 1_000)
        #expect(error?.code?.count == 100)
    }
}
