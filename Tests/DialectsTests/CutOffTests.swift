import Dialects
import JSON
import Testing

/// Streams that are ended early as if they had reached their output cap.
@Suite struct CutOffTests {
    private var reader = ChatStreamReader()

    private mutating func read(_ index: Int, finish: String = "null") {
        let data =
            #"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m\u0041","choices":"#
            + #"[{"delta":{"content":"a"},"finish_reason":\#(finish),"index":\#(index)}]}"#
        _ = Array(data.utf8).withUnsafeBytes { reader.read($0) }
    }

    private static let head =
        #"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m\u0041","choices":["#

    @Test mutating func `the last chunk says length, under the names of those before it`() {
        read(0)
        #expect(
            text(reader.cutOff(answers: 1, usage: nil))
                == Self.head + #"{"index":0,"delta":{},"finish_reason":"length"}]}"# + "\n\ndata: [DONE]\n\n")
    }

    @Test mutating func `usage follows in a chunk without choices`() {
        read(0)
        #expect(
            text(reader.cutOff(answers: 1, usage: (4, 9)))
                == Self.head + #"{"index":0,"delta":{},"finish_reason":"length"}]}"# + "\n\n" + Self.head
                + #"],"usage":{"prompt_tokens":4,"completion_tokens":9,"total_tokens":13}}"#
                + "\n\ndata: [DONE]\n\n")
    }

    @Test mutating func `answers that have ended do not end twice`() {
        read(1, finish: #""stop""#)
        read(2)
        let events = text(reader.cutOff(answers: 3, usage: nil))
        #expect(events.contains(#"{"index":0,"#) && events.contains(#"{"index":2,"#))
        #expect(!events.contains(#"{"index":1,"#))
        for index in [0, 2] { read(index, finish: #""stop""#) }
        #expect(text(reader.cutOff(answers: 3, usage: nil)) == "data: [DONE]\n\n")
    }
}
