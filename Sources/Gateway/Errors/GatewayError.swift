import Core
package import Dialects

/// Where the cause of a failure lies: who must act.
package enum ErrorSource: String, Sendable {
    case gateway = "GATEWAY"
    case upstream = "UPSTREAM"
    case client = "CLIENT"
}

/// Why a request fails.
///
/// One message is for the client, the other for the log: they are never the same string, because what helps an operator may be nobody
/// else's business.
package struct GatewayError: Error, Sendable {
    /// Who must act.
    package let source: ErrorSource
    /// The machine code in logs, metrics and admin answers.
    package let code: String
    /// The HTTP status.
    package let status: Int
    /// The client's error in its dialect: type, code, parameter and message.
    package let client: OpenAIErrorBody
    /// What an operator needs beyond that.
    package let detail: String
    /// Seconds after which trying again makes sense.
    package var retryAfterSeconds: Int?
    /// How the limits stand that refused it.
    package var limits: [LimitReport] = []
    /// False when trying again at once cannot help; SDKs obey it.
    package var shouldRetry: Bool?

    /// Creates an error.
    package init(
        source: ErrorSource, code: String, status: Int, client: OpenAIErrorBody, detail: String = "",
        retryAfterSeconds: Int? = nil, shouldRetry: Bool? = nil
    ) {
        self.source = source
        self.code = code
        self.status = status
        self.client = client
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
        self.shouldRetry = shouldRetry
    }

    /// Whether there is nobody left to answer.
    package var isClientGone: Bool { status == 499 }
}
