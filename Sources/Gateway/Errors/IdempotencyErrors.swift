import Dialects
import Settlement

// What a client is told whose idempotency key stands for another request.

extension GatewayError {
    static let invalidIdempotencyKey = idempotency(
        "INVALID_IDEMPOTENCY_KEY", status: 400, clientCode: "invalid_idempotency_key",
        "Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters.")

    /// A request that is not run because of what its idempotency key stands for.
    init(_ refusal: ClaimRefusal) {
        switch refusal {
        case .running:
            self = .idempotency(
                "IDEMPOTENCY_KEY_IN_USE", status: 409, clientCode: "idempotency_key_in_use",
                "A request with this Idempotency-Key is running. Please ask again for its answer.",
                retryAfterSeconds: 1)
        case .otherBody:
            self = .idempotency(
                "IDEMPOTENCY_KEY_REUSED", status: 422, clientCode: "idempotency_key_reused",
                "This Idempotency-Key was used with another request. Use a new key for each request.")
        case .interrupted:
            self = .idempotency(
                "IDEMPOTENCY_KEY_INTERRUPTED", status: 409, clientCode: "idempotency_key_interrupted",
                "The request with this Idempotency-Key was cut off, and what was delivered of its answer is charged. "
                    + "It is not run again; use a new key to ask anew.",
                shouldRetry: false)
        case .tooLarge:
            self = .idempotency(
                "IDEMPOTENCY_ANSWER_TOO_LARGE", status: 409, clientCode: "idempotency_answer_too_large",
                "The request with this Idempotency-Key has ended, and its answer was too large to be kept. "
                    + "It is not run again; use a new key to ask anew.",
                shouldRetry: false)
        }
    }

    private static func idempotency(
        _ code: String, status: Int, clientCode: String, _ message: String, retryAfterSeconds: Int? = nil,
        shouldRetry: Bool? = nil
    ) -> GatewayError {
        GatewayError(
            source: .client, code: code, status: status,
            client: OpenAIErrorBody(message: message, type: "invalid_request_error", code: clientCode),
            retryAfterSeconds: retryAfterSeconds, shouldRetry: shouldRetry)
    }
}
