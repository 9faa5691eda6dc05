import Dialects
import JSON
import Testing

@Suite struct ChatRequestTests {
    @Test func `a full request is read`() throws {
        let body = Array(
            #"""
            {"model": "gpt-4o", "messages": [
              {"role":"system","content":"Be brief."}, {"role":"developer","content":[{"type":"text","text":"x"}]},
              {"role":"user","name":"Ann","content":"Weather?"},
              {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
                "function":{"name":"weather","arguments":"{}"}}]},
              {"role":"tool","tool_call_id":"c1","content":"Rain"},
              {"role":"assistant","refusal":"No."}, {"role":"assistant","content":[{"type":"refusal","refusal":"n"}]},
              {"role":"function","name":"f","content":null},
              {"role":"assistant","function_call":{"name":"f","arguments":""}}],
             "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 100, "n": 2,
             "temperature": 2, "top_p": 0.1, "presence_penalty": -2, "frequency_penalty": 1.5, "stop": ["x"],
             "tools": [{"type":"function","function":{"name":"weather"}},{"type":"custom","custom":{"name":"c"}}],
             "modalities": ["text"], "service_tier": "auto", "seed": 1, "logit_bias": {"50256": -100},
             "response_format": {"type":"json_object"}, "user": "u1", "session_id": "s1",
             "prompt_cache_key": "p1", "metadata": {"user_id": "m1"}, "store": false, "something_new": {"a": []}}
            """#.utf8)
        let request = try ChatRequest(body)
        #expect(request.model == "gpt-4o")
        #expect(request.stream && request.includeUsage)
        #expect(request.maxTokens == 100 && request.maxTokensField == .maxTokens)
        #expect(request.n == 2)
        #expect(request.messages.count == 9)
        #expect(
            [request.user, request.sessionID, request.promptCacheKey, request.metadataUserID] == [
                "u1", "s1", "p1", "m1",
            ])
        #expect(request.body == body && request.promptBytes == body.count)
    }

    @Test func `the least request has defaults`() throws {
        let request = try ChatRequest(chatBody())
        #expect(!request.stream && !request.includeUsage)
        #expect(request.maxTokens == nil && request.maxTokensField == nil)
        #expect(request.n == 1 && request.user == nil && request.sessionID == nil)
        #expect(request.messageBytes == #"[{"role":"user","content":"Hi"}]"#.utf8.count)
    }

    @Test func `null counts as left out`() throws {
        let names = [
            "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p",
            "user",
            "presence_penalty", "frequency_penalty", "tools", "service_tier", "audio", "modalities",
            "prediction",
            "web_search_options", "background", "session_id", "metadata", "best_of",
        ]
        let request = try ChatRequest(chatBody(names.map { "\"\($0)\":null" }.joined(separator: ",")))
        #expect(request.maxTokens == nil && !request.stream && request.n == 1)
    }

    @Test func `what is switched off explicitly is accepted`() throws {
        _ = try ChatRequest(chatBody(#""background":false,"web_search_options":false,"stream":false"#))
    }

    @Test func `images, audio and files are counted, and their inline bytes are not prompt bytes`() throws {
        let body = chatBody(
            messages: #"""
                [{"role":"user","content":[
                  {"type":"text","text":"What is this?"},
                  {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
                  {"type":"image_url","image_url":{"url":"https:\/\/example.com\/a.png","detail":"low"}},
                  {"type":"input_audio","input_audio":{"data":"BBBBBBBB","format":"wav"}},
                  {"type":"file","file":{"file_data":"data:application\/pdf;base64,CC","filename":"a.pdf"}},
                  {"type":"file","file":{"file_id":"file-1"}}]}]
                """#)
        let messages = try ChatRequest(body).messages
        #expect((messages.imageParts, messages.audioParts, messages.fileParts) == (2, 1, 2))
        let inline = [
            #""data:image/png;base64,AAAA""#, #""BBBBBBBB""#, #""data:application\/pdf;base64,CC""#,
        ]
        #expect(messages.inlineBytes == inline.reduce(0) { $0 + $1.utf8.count })
        #expect(try ChatRequest(body).promptBytes == body.count - messages.inlineBytes)
    }

    @Test func `a data URL in a text stays prompt bytes`() throws {
        let body = chatBody(messages: #"[{"role":"user","content":"data:image/png;base64,AAAA"}]"#)
        #expect(try ChatRequest(body).promptBytes == body.count)
    }

    @Test func `a field is known by its key however that is escaped`() throws {
        let request = try ChatRequest(
            Array(
                #"{"mod\u0065l":"m","messages":[{"r\u006fle":"user","content":""}],"max_\u0074okens":5}"#.utf8
            ))
        #expect(request.model == "m" && request.maxTokens == 5)
    }

    @Test func `the newer field is named when both hold the same number`() throws {
        let request = try ChatRequest(chatBody(#""max_tokens":7,"max_completion_tokens":7"#))
        #expect(request.maxTokens == 7 && request.maxTokensField == .maxCompletionTokens)
    }
}
