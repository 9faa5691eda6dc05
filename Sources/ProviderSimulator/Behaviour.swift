/// What the simulated provider does with a call, chosen by the model's name.
enum Behaviour: String, CaseIterable {
    /// Answers as asked.
    case ok = "sim-ok"
    /// Answers with at least 50 ms between chunks.
    case slow = "sim-slow"
    /// Fails with status 500.
    case failing = "sim-500"
    /// Takes the request and never answers.
    case hanging = "sim-hang"
    /// Sends the headers and three tokens, then closes the connection.
    case cutting = "sim-cut"
    /// Never tells the usage.
    case withoutUsage = "sim-no-usage"
    /// Fails with status 429 and `retry-after`.
    case rateLimited = "sim-429"
    /// Status 200 with a body that is no JSON and no event stream.
    case garbage = "sim-garbage"
    /// Tells cached and reasoning tokens: half of the prompt's and a quarter of the completion's, rounded up.
    case cached = "sim-cached"
    /// Waits until released through `POST /_control/release`.
    case held = "sim-hold"
    /// Tells a negative, a textual and a too large number as usage.
    case badUsage = "sim-bad-usage"
    /// Fails with status 401.
    case unauthorized = "sim-unauthorized"

    /// The behaviour of a model; nil for an unknown name that begins with `sim-`.
    ///
    /// Any other name answers as asked.
    init?(model: String) {
        if let behaviour = Behaviour(rawValue: model) {
            self = behaviour
        } else if model.hasPrefix("sim-") {
            return nil
        } else {
            self = .ok
        }
    }

    /// The status, error type, code and message of those that only fail.
    var failure: Failure? {
        switch self {
        case .failing:
            Failure(
                status: "500 Internal Server Error", type: "server_error", code: "null",
                message: "The server had an error while processing your request.")
        case .rateLimited:
            Failure(
                status: "429 Too Many Requests", type: "requests", code: "\"rate_limit_exceeded\"",
                message: "Rate limit reached for requests.")
        case .unauthorized:
            Failure(
                status: "401 Unauthorized", type: "invalid_request_error", code: "\"invalid_api_key\"",
                message: "Incorrect API key provided.")
        default:
            nil
        }
    }
}

/// An error answer in OpenAI's form.
struct Failure {
    /// Status code and reason.
    let status: String
    let type: String
    /// A JSON value.
    let code: String
    let message: String

    /// A request that cannot be executed as it stands.
    static func invalidRequest(_ message: String, status: String = "400 Bad Request") -> Failure {
        Failure(status: status, type: "invalid_request_error", code: "null", message: message)
    }

    /// A model that does not exist.
    static let modelNotFound = Failure(
        status: "404 Not Found", type: "invalid_request_error", code: "\"model_not_found\"",
        message: "The model does not exist or you do not have access to it.")
}
