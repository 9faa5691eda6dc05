import Dialects
import JSON
import Testing

@Suite struct ChatStreamReaderTests {
    private var reader = ChatStreamReader()

    private mutating func read(_ data: String) -> ChatChunk {
        Array(data.utf8).withUnsafeBytes { reader.read($0) }
    }

    private static func chunk(delta: String, finish: String = "null") -> String {
        #"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\#(delta),"#
            + #""logprobs":null,"finish_reason":\#(finish)}],"usage":null}"#
    }

    /// A delta, whether it costs money, and the bytes and characters of its text.
    private static let deltas: [(String, Bool, Int, Int)] = [
        (#"{"role":"assistant","content":"","refusal":null}"#, false, 0, 0),
        (#"{}"#, false, 0, 0),
        (#"{"content":null}"#, false, 0, 0),
        (#"{"content":" Hé\n"}"#, true, 5, 4),
        (#"{"content":"\ud83d\ude00"}"#, true, 4, 1),
        (#"{"reasoning_content":"hm"}"#, true, 2, 2),
        (#"{"reasoning":"hm","reasoning_content":"hm"}"#, true, 2, 2),
        (#"{"content":"","reasoning_content":""}"#, false, 0, 0),
        (#"{"refusal":"No"}"#, true, 2, 2),
        (#"{"tool_calls":[]}"#, false, 0, 0),
        (
            #"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get","arguments":"{\"a\""}}]}"#,
            true, 7, 7
        ),
        (#"{"function_call":{"name":"f","arguments":"{}"}}"#, true, 3, 3),
        (#"{"audio":{"id":"a","data":"AAAA","transcript":"Hi"}}"#, true, 2, 2),
        (#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"abc"}]}]}"#, true, 3, 3),
    ]

    @Test(arguments: deltas) mutating func `a chunk tells whether it costs money and how much text it holds`(
        _ delta: String, _ isBillable: Bool, _ bytes: Int, _ characters: Int
    ) {
        let chunk = read(ChatStreamReaderTests.chunk(delta: delta))
        #expect(chunk.kind == .choices && !chunk.hasUsage && chunk.finishReason == nil)
        #expect(chunk.isBillable == isBillable)
        #expect(chunk.size.bytes == bytes && chunk.size.characters == characters)
        #expect(reader.delivered == chunk.size && reader.hasBillableOutput == isBillable)
    }

    @Test mutating func `a whole stream is added up`() {
        let usage = #"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}"#
        let kinds = [
            ChatStreamReaderTests.chunk(delta: #"{"role":"assistant","content":""}"#),
            ChatStreamReaderTests.chunk(delta: #"{"content":"Hel"}"#),
            ChatStreamReaderTests.chunk(delta: #"{"content":"lo"}"#),
            ChatStreamReaderTests.chunk(delta: "{}", finish: #""stop""#),
            #"{"id":"c","choices":[],"usage":\#(usage)}"#, "[DONE]",
        ].map { read($0).kind }
        #expect(kinds == [.choices, .choices, .choices, .choices, .usageOnly, .done])
        #expect(reader.delivered.bytes == 5 && reader.hasBillableOutput)
        #expect(reader.usage?.promptTokens == 9 && reader.usage?.completionTokens == 3)
        #expect(reader.finishReason == "stop" && reader.isDone && reader.usageError == nil)
    }

    @Test mutating func `several choices in one chunk all count`() {
        let chunk = read(
            #"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"bc"},"finish_reason":"length"}]}"#)
        #expect(chunk.size.bytes == 3 && chunk.finishReason == "length")
    }

    @Test mutating func `usage on a chunk with choices is no usage-only chunk`() {
        let chunk = read(
            #"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#)
        #expect(chunk.kind == .choices && chunk.hasUsage && reader.usage?.output == 1)
    }

    @Test mutating func `a chunk without choices and without usage stays an ordinary one`() {
        let chunk = read(#"{"choices":[],"prompt_filter_results":[]}"#)
        #expect(chunk.kind == .choices && !chunk.hasUsage)
    }

    @Test mutating func `of several reports the last stands, but none that shrinks`() {
        for (prompt, completion) in [(9, 1), (9, 7), (0, 0), (9, 6)] {
            _ = read(
                #"{"choices":[],"usage":{"prompt_tokens":\#(prompt),"completion_tokens":\#(completion)}}"#)
        }
        #expect(reader.usage?.completionTokens == 7)
    }

    @Test mutating func `nonsense is not taken for usage and is kept for the alarm`() {
        let chunk = read(#"{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":1}}"#)
        #expect(chunk.kind == .usageOnly && chunk.hasUsage)
        #expect(reader.usage == nil && reader.usageError?.reason == .negative)
    }

    @Test(arguments: [
        #"{"error":{"message":"Overloaded","type":"server_error","code":503}}"#, #"{"error":"Overloaded"}"#,
        #"{"object":"error","message":"Overloaded"}"#, #"{"choices":[],"error":{"message":"Overloaded"}}"#,
    ]) mutating func `an error is an error in every shape`(_ data: String) {
        #expect(read(data).kind == .error)
        #expect(reader.providerError?.message == "Overloaded")
    }

    @Test mutating func `an error may come with usage, which counts`() {
        let chunk = read(#"{"error":{"message":"x"},"usage":{"prompt_tokens":4,"completion_tokens":2}}"#)
        #expect(chunk.kind == .error && chunk.hasUsage && reader.usage?.promptTokens == 4)
    }

    @Test mutating func `a null error is none`() {
        #expect(read(#"{"choices":[{"delta":{"content":"a"}}],"error":null}"#).kind == .choices)
    }

    @Test(arguments: ["", "{", "[]", "null", "[DONE", "DONE", #"{"a":1,"a":2}"#, "{}{}", "\u{0}"])
    mutating func `what is no object in JSON is invalid`(_ data: String) {
        #expect(read(data).kind == .invalid)
        #expect(read(ChatStreamReaderTests.chunk(delta: #"{"content":"a"}"#)).isBillable)
    }
}
