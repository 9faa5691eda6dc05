/// What is wrong with a request, in the words and codes that a client developer acts on.
package struct DialectError: Error, Equatable, Sendable {
    /// The HTTP status.
    package let status: Int
    /// The class of error, as OpenAI names them.
    package let type: String
    /// The machine-readable code.
    package let code: String
    /// The field at fault, as a path such as `messages[2].content`.
    package let param: String?
    /// One or two sentences for a person.
    package let message: String

    /// Creates an error.
    package init(
        status: Int = 400, type: String = "invalid_request_error", code: String, param: String? = nil,
        message: String
    ) {
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.message = message
    }
}
