/// Writes answers in OpenAI's form.
///
/// Everything but the framing is built in `scratch` first, because its length stands before it.
struct AnswerWriter {
    private var scratch: [UInt8] = []

    /// A whole answer with a JSON body that `body` writes.
    mutating func writeJSON(
        status: String, headers: StaticString = "", to output: inout [UInt8], _ body: (inout [UInt8]) -> Void
    ) {
        scratch.removeAll(keepingCapacity: true)
        body(&scratch)
        writeHead(status: status, headers: headers, bodyBytes: scratch.count, to: &output)
        output.append(contentsOf: scratch)
    }

    /// An error answer.
    mutating func write(_ failure: Failure, headers: StaticString = "", to output: inout [UInt8]) {
        writeJSON(status: failure.status, headers: headers, to: &output) { body in
            body.append("{\"error\":{\"message\":")
            body.append(json: failure.message)
            body.append(",\"type\":")
            body.append(json: failure.type)
            body.append(",\"param\":null,\"code\":")
            body.append(contentsOf: failure.code.utf8)
            body.append("}}")
        }
    }

    /// The plain answer to a call; what a cut connection would let through when it is to be cut.
    mutating func writePlain(_ call: Call, to output: inout [UInt8]) {
        guard call.behaviour != .garbage else {
            writeJSON(status: "200 OK", to: &output) { $0.append("<html>\u{1}{\"choices\":[nonsense</html>") }
            return
        }
        scratch.removeAll(keepingCapacity: true)
        Self.writeIdentity(of: call, object: "chat.completion", to: &scratch)
        scratch.append(",\"choices\":[")
        var cutAt = 0
        for choice in 0..<call.choices {
            if choice > 0 { scratch.append(UInt8(ascii: ",")) }
            scratch.append("{\"index\":")
            scratch.append(decimal: choice)
            scratch.append(",\"message\":{\"role\":\"assistant\",\"content\":\"")
            for chunk in 1...max(call.chunks, 1) where chunk <= call.chunks {
                Self.writeToken(chunk, to: &scratch)
                if chunk <= Call.cutTokens && choice == 0 { cutAt = scratch.count }
            }
            scratch.append("\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"")
            scratch.append(call.finishReason)
            scratch.append("\"}")
        }
        scratch.append(UInt8(ascii: "]"))
        if call.behaviour != .withoutUsage {
            scratch.append(",\"usage\":")
            Self.writeUsage(of: call, to: &scratch)
        }
        scratch.append(UInt8(ascii: "}"))
        writeHead(status: "200 OK", headers: "", bodyBytes: scratch.count, to: &output)
        output.append(contentsOf: call.behaviour == .cutting ? scratch[..<cutAt] : scratch[...])
    }

    /// The head of a stream and its first chunk, which names the role.
    mutating func writeStreamStart(_ call: Call, to output: inout [UInt8]) {
        output.append("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        output.append("cache-control: no-cache\r\nx-request-id: ")
        output.append(contentsOf: call.id)
        output.append("\r\ntransfer-encoding: chunked\r\n\r\n")
        for choice in 0..<call.choices {
            writeChunk(call, choice: choice, finishReason: nil, to: &output) { delta in
                delta.append("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null")
            }
        }
    }

    /// One content chunk of one choice; chunks are counted from 1.
    mutating func writeContent(_ call: Call, choice: Int, chunk: Int, to output: inout [UInt8]) {
        writeChunk(call, choice: choice, finishReason: nil, to: &output) { delta in
            delta.append("\"content\":\"")
            Self.writeToken(chunk, to: &delta)
            delta.append(UInt8(ascii: "\""))
        }
    }

    /// The finishing chunks, the usage if it was asked for, and the end of the stream.
    mutating func writeStreamEnd(_ call: Call, to output: inout [UInt8]) {
        for choice in 0..<call.choices {
            writeChunk(call, choice: choice, finishReason: call.finishReason, to: &output) { _ in }
        }
        if call.includesUsage {
            scratch.removeAll(keepingCapacity: true)
            scratch.append("data: ")
            Self.writeIdentity(of: call, object: "chat.completion.chunk", to: &scratch)
            scratch.append(",\"choices\":[],\"usage\":")
            Self.writeUsage(of: call, to: &scratch)
            scratch.append("}\n\n")
            frame(to: &output)
        }
        output.append("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
    }

    /// A stream of things that are no events and no JSON.
    mutating func writeGarbageStream(_ call: Call, to output: inout [UInt8]) {
        output.append("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        output.append("transfer-encoding: chunked\r\n\r\n")
        scratch.removeAll(keepingCapacity: true)
        scratch.append("data: {\"id\": not json\n\nno colon in this line\n\ndata: [1,2\n\ndata: \"")
        scratch += [0xFF, 0xFE, 0x00, 0xC3]
        scratch.append("\"\n\nevent: \r\rdata: {\"choices\":\"none\"}\r\n\r\ndata: [DON")
        frame(to: &output)
        output.append("0\r\n\r\n")
    }

    // MARK: - Parts

    private func writeHead(
        status: String, headers: StaticString, bodyBytes: Int, to output: inout [UInt8]
    ) {
        output.append("HTTP/1.1 ")
        output.append(contentsOf: status.utf8)
        output.append("\r\ncontent-type: application/json\r\n")
        output.append(headers)
        output.append("content-length: ")
        output.append(decimal: bodyBytes)
        output.append("\r\n\r\n")
    }

    private mutating func writeChunk(
        _ call: Call, choice: Int, finishReason: StaticString?, to output: inout [UInt8],
        delta: (inout [UInt8]) -> Void
    ) {
        scratch.removeAll(keepingCapacity: true)
        scratch.append("data: ")
        Self.writeIdentity(of: call, object: "chat.completion.chunk", to: &scratch)
        scratch.append(",\"choices\":[{\"index\":")
        scratch.append(decimal: choice)
        scratch.append(",\"delta\":{")
        delta(&scratch)
        scratch.append("},\"logprobs\":null,\"finish_reason\":")
        if let finishReason {
            scratch.append(UInt8(ascii: "\""))
            scratch.append(finishReason)
            scratch.append(UInt8(ascii: "\""))
        } else {
            scratch.append("null")
        }
        scratch.append("}]")
        if call.includesUsage { scratch.append(",\"usage\":null") }
        scratch.append("}\n\n")
        frame(to: &output)
    }

    /// Appends `scratch` as one chunk of a chunked body.
    private func frame(to output: inout [UInt8]) {
        output.append(hexadecimal: UInt64(scratch.count))
        output.append("\r\n")
        output.append(contentsOf: scratch)
        output.append("\r\n")
    }

    private static func writeToken(_ number: Int, to output: inout [UInt8]) {
        output.append("tok")
        output.append(decimal: number)
        output.append(UInt8(ascii: " "))
    }

    private static func writeIdentity(of call: Call, object: StaticString, to output: inout [UInt8]) {
        output.append("{\"id\":\"")
        output.append(contentsOf: call.id)
        output.append("\",\"object\":\"")
        output.append(object)
        output.append("\",\"created\":")
        output.append(decimal: call.created)
        output.append(",\"model\":\"")
        output.append(contentsOf: call.model)
        output.append("\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_simulator\"")
    }

    private static func writeUsage(of call: Call, to output: inout [UInt8]) {
        guard call.behaviour != .badUsage else {
            output.append(
                "{\"prompt_tokens\":-5,\"completion_tokens\":\"many\",\"total_tokens\":9223372036854775808}")
            return
        }
        let isCached = call.behaviour == .cached
        output.append("{\"prompt_tokens\":")
        output.append(decimal: call.promptTokens)
        output.append(",\"completion_tokens\":")
        output.append(decimal: call.completionTokens)
        output.append(",\"total_tokens\":")
        output.append(decimal: call.promptTokens + call.completionTokens)
        output.append(",\"prompt_tokens_details\":{\"cached_tokens\":")
        output.append(decimal: isCached ? (call.promptTokens + 1) / 2 : 0)
        output.append(",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":")
        output.append(decimal: isCached ? (call.completionTokens + 3) / 4 : 0)
        output.append(
            ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}")
    }
}
