import JSON

extension ChatStreamReader {
    /// The events that end a stream early in the dialect's own way, as if each answer had reached its output cap.
    ///
    /// They name the completion as its chunks did.
    ///
    /// - Parameters:
    ///   - answers: How many answers there are; those that have ended are left out.
    ///   - usage: The tokens of prompt and answer, when the client wants to be told.
    package func cutOff(answers: Int, usage: (prompt: Int64, completion: Int64)?) -> [UInt8] {
        var events: [UInt8] = []
        let open = (0..<answers).filter { $0 >= 64 || finishedChoices & (1 << UInt64($0)) == 0 }
        if !open.isEmpty {
            events += event { writer in
                for index in open {
                    writer.beginObject()
                    writer.member("index", Int64(index))
                    writer.key("delta")
                    writer.beginObject()
                    writer.endObject()
                    writer.member("finish_reason", "length")
                    writer.endObject()
                }
            }
        }
        if let usage { events += event(usage: usage) { _ in } }
        return events + ChatStreamEvent.done
    }

    private func event(
        usage: (prompt: Int64, completion: Int64)? = nil, choices: (inout JSONWriter) -> Void
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        for name in ["id", "object", "created", "model"] as [StaticString] {
            guard let member = document.member(name, of: document.root) else { continue }
            writer.key("\(name)")
            writer.raw(document.bytes[member.range])
        }
        writer.key("choices")
        writer.beginArray()
        choices(&writer)
        writer.endArray()
        if let usage {
            writer.key("usage")
            writer.beginObject()
            writer.member("prompt_tokens", usage.prompt)
            writer.member("completion_tokens", usage.completion)
            writer.member("total_tokens", usage.prompt + usage.completion)
            writer.endObject()
        }
        writer.endObject()
        return Array("data: ".utf8) + writer.bytes + Array("\n\n".utf8)
    }
}
