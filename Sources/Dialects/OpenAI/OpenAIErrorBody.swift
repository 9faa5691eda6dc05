import JSON

/// An error as OpenAI's clients read it: `{"error":{"message","type","param","code"}}`.
package struct OpenAIErrorBody: Sendable, Equatable {
    /// One or two sentences for a person.
    package let message: String
    /// The class of error.
    package let type: String
    /// The field at fault.
    package let param: String?
    /// The machine-readable code.
    package let code: String?

    /// Creates an error.
    package init(message: String, type: String, param: String? = nil, code: String? = nil) {
        self.message = message
        self.type = type
        self.param = param
        self.code = code
    }

    /// Creates the error that a request is answered with.
    package init(_ error: DialectError) {
        self.init(message: error.message, type: error.type, param: error.param, code: error.code)
    }

    /// The body of a plain answer.
    package var body: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("error")
        writer.beginObject()
        writer.member("message", message)
        writer.member("type", type)
        writer.member("param", param)
        writer.member("code", code)
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    /// The event that ends a stream with this error.
    package var event: [UInt8] {
        Array("data: ".utf8) + body + Array("\n\n".utf8)
    }
}

/// The fixed events of a chat completion stream.
package enum ChatStreamEvent {
    /// A comment that clients ignore, which shows whether the client is still there.
    package static let keepAlive = Array(": keep-alive\n\n".utf8)
    /// The end of a stream.
    package static let done = Array("data: [DONE]\n\n".utf8)
}
