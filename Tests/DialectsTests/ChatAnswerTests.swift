import Dialects
import JSON
import Testing

@Suite struct ChatAnswerTests {
    @Test func `a plain answer is read for its usage and its output`() throws {
        let answer = try ChatAnswer(
            Array(
                #"""
                {"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,
                 "message":{"role":"assistant","content":"Hi é","refusal":null},"finish_reason":"stop"}],
                 "usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,
                 "prompt_tokens_details":{"cached_tokens":8}}}
                """#.utf8))
        #expect(answer.usage?.input == 1 && answer.usage?.cachedInput == 8 && answer.usage?.output == 4)
        #expect(answer.delivered.bytes == 5 && answer.delivered.characters == 4)
        #expect(answer.hasBillableOutput && answer.finishReason == "stop")
        #expect(answer.usageError == nil && answer.providerError == nil)
    }

    @Test func `an answer without believable usage says why`() throws {
        let none = try ChatAnswer(Array(#"{"choices":[]}"#.utf8))
        #expect(none.usage == nil && none.usageError == nil && !none.hasBillableOutput)
        let nonsense = try ChatAnswer(
            Array(#"{"choices":[],"usage":{"prompt_tokens":"9","completion_tokens":4}}"#.utf8))
        #expect(nonsense.usage == nil && nonsense.usageError?.reason == .wrongKind)
    }

    @Test func `an error that comes with status 200 is seen`() throws {
        let answer = try ChatAnswer(Array(#"{"error":{"message":"Overloaded"}}"#.utf8))
        #expect(answer.providerError?.message == "Overloaded")
    }

    @Test(arguments: ["", "[]", "<html>", #"{"usage":{},"usage":{}}"#])
    func `what is no object in JSON is refused`(_ body: String) {
        #expect(throws: JSONError.self) { try ChatAnswer(Array(body.utf8)) }
    }

    @Test func `the list of models has OpenAI's shape`() {
        let models = [
            ModelListing(id: "gpt-4o", createdSeconds: 1_700_000_000, owner: "openai"),
            ModelListing(id: "b", createdSeconds: 0, owner: "x\"y"),
        ]
        #expect(
            text(ModelListing.listBody(models))
                == #"{"object":"list","data":[{"id":"gpt-4o","object":"model","created":1700000000,"owned_by":"openai"},"#
                + #"{"id":"b","object":"model","created":0,"owned_by":"x\"y"}]}"#)
        #expect(text(ModelListing.listBody([])) == #"{"object":"list","data":[]}"#)
        #expect(text(models[1].body) == #"{"id":"b","object":"model","created":0,"owned_by":"x\"y"}"#)
    }
}
