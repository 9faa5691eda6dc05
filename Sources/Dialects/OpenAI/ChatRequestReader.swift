import JSON

/// Checks the fields of a chat request one by one; null counts as left out, as it does at OpenAI.
struct ChatRequestReader {
    /// Fields that make a provider do work which the tokens do not show, or send the request elsewhere.
    private static let unpriced: [StaticString] = [
        "web_search_options", "audio", "prediction", "best_of", "use_beam_search", "plugins", "models",
        "fallbacks", "route", "provider", "search_parameters", "enable_search", "web_search",
    ]
    /// Settings of client libraries that would steer our own calls if anybody along the way believed them.
    private static let forbidden: [StaticString] = [
        "api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "organization",
    ]
    private static let samplingRanges: [(StaticString, ClosedRange<Double>)] = [
        ("temperature", 0...2), ("top_p", 0...1), ("presence_penalty", -2...2), ("frequency_penalty", -2...2),
    ]
    /// Output caps that are numbers of tokens at all; those beyond what we allow are lowered, not refused.
    private static let outputCaps = 1...(1 << 53)

    let document: JSONDocument
    let limits: ChatRequest.Limits

    init(_ body: [UInt8], limits: ChatRequest.Limits) throws(DialectError) {
        self.limits = limits
        do throws(JSONError) {
            document = try JSONDocument(body, limits: limits.json)
        } catch {
            throw ChatRequestReader.error(for: error)
        }
        guard document.root.kind == .object else {
            throw DialectError(
                code: "invalid_type",
                message: "The request body must be a JSON object, but it is \(document.root.typeName).")
        }
    }

    private static func error(for error: JSONError) -> DialectError {
        switch error.reason {
        case .empty:
            DialectError(code: "invalid_json", message: "The request body is empty. Expected a JSON object.")
        case .duplicateKey:
            DialectError(
                code: "duplicate_key",
                message: "The request body has the same key twice in one object (at byte \(error.offset)).")
        default:
            DialectError(code: "invalid_json", message: "The request body is not valid JSON: \(error).")
        }
    }

    // MARK: Fields

    func field(_ name: StaticString) -> JSONNode? {
        document.nonNullMember(name, of: document.root)
    }

    func readBool(_ name: StaticString) throws(DialectError) -> Bool? {
        guard let node = field(name) else { return nil }
        return try document.requestBool(node, name.description)
    }

    func readInteger(_ name: StaticString, in range: ClosedRange<Int>) throws(DialectError) -> Int? {
        guard let node = field(name) else { return nil }
        return try document.requestInteger(node, name.description, in: range)
    }

    func readIdentifier(_ name: StaticString) throws(DialectError) -> String? {
        guard let node = field(name) else { return nil }
        return try document.requestText(node, name.description, bytesMax: limits.identifierBytesMax)
    }

    func readModel() throws(DialectError) -> String {
        guard let node = document.member("model", of: document.root) else { throw .missing("model") }
        let model = try document.requestText(node, "model", bytesMax: limits.modelBytesMax)
        guard !model.isEmpty else { throw .invalidValue("model", "Invalid 'model': it must not be empty.") }
        return model
    }

    func readMetadataUserID() -> String? {
        guard let metadata = field("metadata"), let node = document.member("user_id", of: metadata) else {
            return nil
        }
        // It only helps to route; a value that is no good for that is the provider's affair.
        return try? document.requestText(node, "metadata.user_id", bytesMax: limits.identifierBytesMax)
    }

    func readIncludeUsage(isStream: Bool) throws(DialectError) -> Bool {
        guard let options = field("stream_options") else { return false }
        guard options.kind == .object else {
            throw .wrongType("stream_options", expected: "an object", found: options)
        }
        guard isStream else {
            throw .invalidValue("stream_options", "'stream_options' is only allowed when 'stream' is true.")
        }
        guard let flag = document.nonNullMember("include_usage", of: options) else { return false }
        return try document.requestBool(flag, "stream_options.include_usage")
    }

    func readOutputCap() throws(DialectError) -> (Int?, OutputCapField?) {
        let older = try readInteger("max_tokens", in: ChatRequestReader.outputCaps)
        let newer = try readInteger("max_completion_tokens", in: ChatRequestReader.outputCaps)
        if let older, let newer, older != newer {
            throw .invalidValue(
                "max_tokens",
                "'max_tokens' and 'max_completion_tokens' differ (\(older) and \(newer)). Send only one of them."
            )
        }
        if let newer { return (newer, .maxCompletionTokens) }
        return older.map { ($0, .maxTokens) } ?? (nil, nil)
    }

    // MARK: Checks

    func refuseUnpricedFields() throws(DialectError) {
        if let first = document.members(of: document.root, named: ChatRequestReader.forbidden).first {
            let name = document.key(of: first)
            throw DialectError(
                code: "unknown_parameter", param: name, message: "Unknown parameter: '\(name)'.")
        }
        for node in document.members(of: document.root, named: ChatRequestReader.unpriced)
        where node.kind != .null {
            // Switched off explicitly it changes nothing; whatever is no boolean is not switched off.
            if let isOn = try? document.bool(node), !isOn { continue }
            throw unsupported(document.key(of: node), "it would change the price of the request.")
        }
        if try readBool("background") == true {
            throw unsupported("background", "answers are delivered within the request.")
        }
        try checkModalities()
    }

    private func unsupported(_ param: String, _ reason: String) -> DialectError {
        DialectError(
            code: "unsupported_parameter", param: param,
            message: "Unsupported parameter: '\(param)' is not available here: \(reason)")
    }

    private func checkModalities() throws(DialectError) {
        guard let node = field("modalities") else { return }
        guard node.kind == .array else { throw .wrongType("modalities", expected: "an array", found: node) }
        for modality in document.children(of: node) where !document.isString(modality, "text") {
            throw unsupported("modalities", "only \"text\" is.")
        }
    }

    func checkSampling() throws(DialectError) {
        for (name, range) in ChatRequestReader.samplingRanges {
            if let node = field(name) {
                try document.checkRequestNumber(node, name.description, in: range)
            }
        }
    }

    func checkServiceTier() throws(DialectError) {
        guard let node = field("service_tier") else { return }
        guard node.kind == .string else {
            throw .wrongType("service_tier", expected: "a string", found: node)
        }
        let isPriced =
            document.isString(node, "auto") || document.isString(node, "default")
            || document.isString(node, "standard")
        guard isPriced else {
            throw DialectError(
                code: "unsupported_value", param: "service_tier",
                message: "Unsupported value: 'service_tier' can only be 'auto', 'default' or 'standard' here."
            )
        }
    }

    func checkTools() throws(DialectError) {
        guard let tools = field("tools") else { return }
        guard tools.kind == .array else { throw .wrongType("tools", expected: "an array", found: tools) }
        for (index, tool) in document.children(of: tools).enumerated() {
            guard tool.kind == .object else {
                throw .wrongType("tools[\(index)]", expected: "an object", found: tool)
            }
            let param = "tools[\(index)].type"
            guard let type = document.member("type", of: tool) else { throw .missing(param) }
            guard type.kind == .string else { throw .wrongType(param, expected: "a string", found: type) }
            guard document.isString(type, "function") || document.isString(type, "custom") else {
                throw unsupported(param, "only tools of type \"function\" and \"custom\" are.")
            }
        }
    }

    func readMessages() throws(DialectError) -> ChatMessages {
        guard let node = document.member("messages", of: document.root) else { throw .missing("messages") }
        var reader = ChatMessagesReader(document: document, messages: ChatMessages(node: node))
        try reader.read()
        return reader.messages
    }
}
