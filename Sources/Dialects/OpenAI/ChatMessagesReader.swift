import JSON

/// Checks the `messages` of a chat request and counts what in them is priced by the piece.
struct ChatMessagesReader {
    let document: JSONDocument
    var messages: ChatMessages

    mutating func read() throws(DialectError) {
        let list = messages.node
        guard list.kind == .array else { throw .wrongType("messages", expected: "an array", found: list) }
        guard !list.isChildless else {
            throw DialectError(
                code: "empty_array", param: "messages",
                message: "Invalid 'messages': empty array. Expected at least one message.")
        }
        var next = document.firstChild(of: list)
        while let message = next {
            try readMessage(message, at: messages.count)
            messages.count += 1
            next = document.child(after: message, of: list)
        }
    }

    private mutating func readMessage(_ message: JSONNode, at index: Int) throws(DialectError) {
        guard message.kind == .object else {
            throw .wrongType("messages[\(index)]", expected: "an object", found: message)
        }
        guard let role = document.member("role", of: message) else {
            throw .missing("messages[\(index)].role")
        }
        guard role.kind == .string else {
            throw .wrongType("messages[\(index)].role", expected: "a string", found: role)
        }
        let isAssistant = document.isString(role, "assistant")
        let isTool = !isAssistant && document.isString(role, "tool")
        let isFunction = !isAssistant && !isTool && document.isString(role, "function")
        guard isAssistant || isTool || isFunction || isPromptRole(role) else {
            throw .invalidValue(
                "messages[\(index)].role",
                "Invalid value for 'messages[\(index)].role'. Supported values are: "
                    + "'system', 'developer', 'user', 'assistant', 'tool' and 'function'.")
        }
        if document.nonNullMember("audio", of: message) != nil {
            throw DialectError(
                code: "unsupported_parameter", param: "messages[\(index)].audio",
                message:
                    "Unsupported parameter: 'messages[\(index)].audio' refers to audio of an earlier answer, "
                    + "which cannot be priced.")
        }
        if isTool, document.nonNullMember("tool_call_id", of: message)?.kind != .string {
            throw .missing("messages[\(index)].tool_call_id")
        }
        let hasCalls = try checkToolCalls(message, at: index)
        guard let content = document.nonNullMember("content", of: message) else {
            if isFunction || (isAssistant && (hasCalls || hasOtherContent(message))) { return }
            throw DialectError(
                code: "missing_required_parameter", param: "messages[\(index)].content",
                message: "Missing required parameter: 'messages[\(index)].content'. "
                    + "Expected a string or an array of content parts.")
        }
        try readContent(content, at: index)
    }

    private func isPromptRole(_ role: JSONNode) -> Bool {
        document.isString(role, "user") || document.isString(role, "system")
            || document.isString(role, "developer")
    }

    /// Checks an assistant's calls; returns whether there are any.
    private func checkToolCalls(_ message: JSONNode, at index: Int) throws(DialectError) -> Bool {
        if let calls = document.nonNullMember("tool_calls", of: message) {
            guard calls.kind == .array else {
                throw .wrongType("messages[\(index)].tool_calls", expected: "an array", found: calls)
            }
            for (place, call) in document.children(of: calls).enumerated() where call.kind != .object {
                throw .wrongType(
                    "messages[\(index)].tool_calls[\(place)]", expected: "an object", found: call)
            }
            return !calls.isChildless
        }
        return false
    }

    /// Whether there is anything else that stands in for an assistant's content.
    private func hasOtherContent(_ message: JSONNode) -> Bool {
        document.nonNullMember("function_call", of: message) != nil
            || document.nonNullMember("refusal", of: message) != nil
            || document.nonNullMember("reasoning_content", of: message) != nil
    }

    private mutating func readContent(_ content: JSONNode, at index: Int) throws(DialectError) {
        if content.kind == .string { return }
        guard content.kind == .array else {
            throw .wrongType(
                "messages[\(index)].content", expected: "a string or an array of content parts",
                found: content)
        }
        var place = 0
        var next = document.firstChild(of: content)
        while let part = next {
            try readPart(part, PartPath(message: index, part: place))
            place += 1
            next = document.child(after: part, of: content)
        }
    }

    // MARK: Content parts

    /// Names a part of a message in errors; put into words only when there is one.
    private struct PartPath: CustomStringConvertible {
        let message: Int
        let part: Int

        var description: String { "messages[\(message)].content[\(part)]" }
    }

    private mutating func readPart(_ part: JSONNode, _ path: PartPath) throws(DialectError) {
        guard part.kind == .object else {
            throw .wrongType("\(path)", expected: "an object", found: part)
        }
        guard let type = document.member("type", of: part) else { throw .missing("\(path).type") }
        if document.isString(type, "text") {
            _ = try text("text", of: part, "\(path)")
        } else if document.isString(type, "image_url") {
            try readImage(try object("image_url", of: part, path), path)
        } else if document.isString(type, "input_audio") {
            let audio = try object("input_audio", of: part, path)
            messages.inlineBytes += try text("data", of: audio, "\(path).input_audio").range.count
            messages.audioParts += 1
        } else if document.isString(type, "file") {
            try readFile(try object("file", of: part, path), path)
        } else if document.isString(type, "refusal") {
            _ = try text("refusal", of: part, "\(path)")
        } else {
            throw .invalidValue(
                "\(path).type",
                "Invalid value for '\(path).type'. Supported values are: "
                    + "'text', 'image_url', 'input_audio', 'file' and 'refusal'.")
        }
    }

    private mutating func readImage(_ image: JSONNode, _ path: PartPath) throws(DialectError) {
        let url = try text("url", of: image, "\(path).image_url")
        messages.imageParts += 1
        if document.hasPrefix(url, "data:") {
            messages.inlineBytes += url.range.count
            return
        }
        guard document.hasPrefix(url, "https://") || document.hasPrefix(url, "http://") else {
            throw .invalidValue(
                "\(path).image_url.url",
                "Invalid '\(path).image_url.url': expected a URL that begins with 'https://', 'http://' or 'data:'."
            )
        }
    }

    private mutating func readFile(_ file: JSONNode, _ path: PartPath) throws(DialectError) {
        let data = document.nonNullMember("file_data", of: file)
        guard data != nil || document.nonNullMember("file_id", of: file)?.kind == .string else {
            throw .missing("\(path).file.file_data")
        }
        if data != nil {
            messages.inlineBytes += try text("file_data", of: file, "\(path).file").range.count
        }
        messages.fileParts += 1
    }

    private func object(
        _ key: StaticString, of part: JSONNode, _ path: PartPath
    ) throws(DialectError) -> JSONNode {
        guard let node = document.member(key, of: part) else { throw .missing("\(path).\(key)") }
        guard node.kind == .object else {
            throw .wrongType("\(path).\(key)", expected: "an object", found: node)
        }
        return node
    }

    private func text(
        _ key: StaticString, of object: JSONNode, _ path: @autoclosure () -> String
    ) throws(DialectError) -> JSONNode {
        guard let node = document.member(key, of: object) else { throw .missing("\(path()).\(key)") }
        guard node.kind == .string else {
            throw .wrongType("\(path()).\(key)", expected: "a string", found: node)
        }
        return node
    }
}
