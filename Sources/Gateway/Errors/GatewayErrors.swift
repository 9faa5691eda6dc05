import Core
import Dialects
import FastCGI
import HTTPClient
import Observability
import Settlement
import Tenancy

// Every failure a request can have, in one place: what the client is told, and what the operator is.

extension GatewayError {
    private static func refusal(
        _ code: String, status: Int, type: String, clientCode: String, _ message: String,
        param: String? = nil,
        detail: String = ""
    ) -> GatewayError {
        GatewayError(
            source: .client, code: code, status: status,
            client: OpenAIErrorBody(message: message, type: type, param: param, code: clientCode),
            detail: detail)
    }

    private static func unavailable(_ code: String, _ message: String, detail: String) -> GatewayError {
        GatewayError(
            source: .gateway, code: code, status: 503,
            client: OpenAIErrorBody(message: message, type: "server_error", code: "service_unavailable"),
            detail: detail, retryAfterSeconds: 1)
    }

    // MARK: The request itself

    init(_ error: DialectError) {
        self.init(
            source: .client, code: "INVALID_REQUEST", status: error.status, client: OpenAIErrorBody(error),
            detail: error.code)
    }

    init(_ error: ExchangeError, bodyBytesMax: Int) {
        switch error {
        case .bodyTooLarge:
            self = .refusal(
                "BODY_TOO_LARGE", status: 413, type: "invalid_request_error", clientCode: "request_too_large",
                "The request body is larger than \(bodyBytesMax) bytes.")
        case .clientGone, .writeTimedOut: self = .clientGone
        case .bodyTruncated, .bodyTimedOut, .invalidContentLength:
            self = .refusal(
                "BODY_INCOMPLETE", status: 400, type: "invalid_request_error", clientCode: "invalid_body",
                "The request body did not arrive complete.", detail: "\(error)")
        }
    }

    static let clientGone = GatewayError(
        source: .client, code: "CLIENT_GONE", status: 499,
        client: OpenAIErrorBody(message: "", type: "invalid_request_error"))

    static func notFound(_ path: String) -> GatewayError {
        refusal(
            "NOT_FOUND", status: 404, type: "invalid_request_error", clientCode: "unknown_url",
            "There is no such endpoint.", detail: path)
    }

    static func methodNotAllowed(_ allowed: String) -> GatewayError {
        refusal(
            "METHOD_NOT_ALLOWED", status: 405, type: "invalid_request_error",
            clientCode: "method_not_allowed",
            "This endpoint takes \(allowed) only.", detail: allowed)
    }

    static let unsupportedContentType = refusal(
        "UNSUPPORTED_CONTENT_TYPE", status: 415, type: "invalid_request_error",
        clientCode: "unsupported_media_type", "Send the body as application/json.")

    static let unsupportedContentEncoding = refusal(
        "UNSUPPORTED_CONTENT_ENCODING", status: 415, type: "invalid_request_error",
        clientCode: "unsupported_content_encoding", "Send the body without Content-Encoding.")

    // MARK: Who is calling

    static let missingKey = refusal(
        "MISSING_API_KEY", status: 401, type: "invalid_request_error", clientCode: "missing_api_key",
        "No API key was sent. Send it as 'Authorization: Bearer tg_…'.")

    static let invalidKey = refusal(
        "INVALID_API_KEY", status: 401, type: "invalid_request_error", clientCode: "invalid_api_key",
        "The API key is not valid.")

    static let ambiguousCredentials = refusal(
        "AMBIGUOUS_CREDENTIALS", status: 400, type: "invalid_request_error",
        clientCode: "ambiguous_credentials",
        "More than one API key was sent, and they differ.")

    init(_ error: TenancyError) {
        switch error {
        case .invalidKey: self = .invalidKey
        case .revokedKey:
            self = .refusal(
                "REVOKED_API_KEY", status: 401, type: "invalid_request_error", clientCode: "invalid_api_key",
                "The API key was revoked.")
        case .expiredKey:
            self = .refusal(
                "EXPIRED_API_KEY", status: 401, type: "invalid_request_error", clientCode: "invalid_api_key",
                "The API key has expired.")
        case .suspendedTenant:
            self = .refusal(
                "TENANT_SUSPENDED", status: 403, type: "permission_error", clientCode: "tenant_suspended",
                "This tenant is suspended.")
        case .unavailable(let detail):
            self = .unavailable(
                "AUTH_UNAVAILABLE", "The API key cannot be checked right now. Please try again.",
                detail: detail)
        }
    }

    // MARK: What is asked for

    static func unknownModel(_ model: String) -> GatewayError {
        refusal(
            "ROUTING_NO_PROVIDER", status: 404, type: "invalid_request_error", clientCode: "model_not_found",
            "The model '\(model)' does not exist or you do not have access to it.", param: "model",
            detail: model)
    }

    static func unpricedModel(_ model: String) -> GatewayError {
        GatewayError(
            source: .gateway, code: "MODEL_NOT_PRICED", status: 503,
            client: OpenAIErrorBody(
                message: "The model '\(model)' has no price and cannot be used yet.", type: "server_error",
                param: "model", code: "model_not_priced"), detail: model, shouldRetry: false)
    }

    static func unboundedParts(_ kind: String) -> GatewayError {
        refusal(
            "PART_NOT_PRICED", status: 400, type: "invalid_request_error",
            clientCode: "unsupported_parameter",
            "This model takes no \(kind) here: their cost has no bound.", param: "messages")
    }

    static func costBeyondLimit() -> GatewayError {
        refusal(
            "COST_BEYOND_LIMIT", status: 400, type: "invalid_request_error",
            clientCode: "request_too_expensive",
            "This request could cost more than any single request may.")
    }
}

// MARK: - Money

extension GatewayError {
    /// - Parameters:
    ///   - tokens: What the request was estimated to take.
    ///   - left: Seconds until the tenant's day and month end.
    init(_ error: SettlementError, tokens: Int64 = 0, left: (day: Int, month: Int) = (1, 1)) {
        switch error {
        case .refused(let refusal): self.init(refusal, tokens: tokens, left: left)
        case .unavailable(let detail):
            self = .unavailable(
                "QUOTA_UNAVAILABLE", "The balance cannot be checked right now. Please try again.",
                detail: detail)
        case .inDatabaseMode:
            self = .unavailable(
                "QUOTA_UNAVAILABLE", "The balance cannot be checked right now. Please try again.",
                detail: "reservations are made in PostgreSQL at present")
        case .conflict:
            self = .unavailable("TRACE_CONFLICT", "Please try again.", detail: "the trace id is taken")
        case .keyInUse: self.init(ClaimRefusal.running)
        case .unknownTenant:
            self.init(
                source: .gateway, code: "QUOTA_NO_TENANT", status: 403,
                client: OpenAIErrorBody(
                    message: "This tenant does not exist any more.", type: "permission_error",
                    code: "tenant_not_found"))
        case .notDurable(let detail), .overruled(let detail): self = .billingFailed(detail)
        }
    }

    static let moneyUnknown = unavailable(
        "QUOTA_UNAVAILABLE", "Whether your balance covers more of this answer cannot be found out right now.",
        detail: "the hold could not be extended")

    static let leaseLost = unavailable(
        "OWNER_LEASE_LOST", "This server cannot reach its ledger right now. Please try again.",
        detail: "the lease on this process's rows was not renewed in time")

    static func billingFailed(_ detail: String) -> GatewayError {
        unrecorded("The answer could not be recorded. You are not charged for it.", detail: detail)
    }

    /// The same for a stream whose text the client has: the charge is made later.
    static func billingDelayed(_ detail: String) -> GatewayError {
        unrecorded("The charge for this answer could not be recorded yet; it will be.", detail: detail)
    }

    private static func unrecorded(_ message: String, detail: String) -> GatewayError {
        GatewayError(
            source: .gateway, code: "BILLING_RECORD_FAILED", status: 500,
            client: OpenAIErrorBody(
                message: message, type: "server_error", code: "billing_record_failed"), detail: detail)
    }
}

// MARK: - Providers

extension GatewayError {
    private static func upstream(
        status: Int, clientCode: String, _ message: String, detail: String, retryAfterSeconds: Int? = nil
    ) -> GatewayError {
        GatewayError(
            source: .upstream, code: "UPSTREAM_CALL_FAILED", status: status,
            client: OpenAIErrorBody(message: message, type: "server_error", code: clientCode), detail: detail,
            retryAfterSeconds: retryAfterSeconds)
    }

    init(_ error: HTTPClientError, provider: String) {
        switch error {
        case .timeout:
            self = .upstream(
                status: 504, clientCode: "upstream_timeout", "The provider did not answer in time.",
                detail: "\(provider): \(error)")
        case .blockedAddress(let address):
            self = .upstream(
                status: 502, clientCode: "upstream_error", "The provider could not be reached.",
                detail:
                    "\(provider): its address \(address) is private, which is not allowed for it; if it should be: "
                    + "tollgate provider set \(provider) --allow-private-addresses")
        case .forbiddenAddress(let address):
            self = .upstream(
                status: 502, clientCode: "upstream_error", "The provider could not be reached.",
                detail: "\(provider): its address \(address) is never connected to, whatever is allowed")
        default:
            self = .upstream(
                status: 502, clientCode: "upstream_error", "The provider could not be reached.",
                detail: "\(provider): \(error)")
        }
    }

    static func upstreamStatus(_ status: Int, provider: String, retryAfterSeconds: Int?, detail: String)
        -> GatewayError
    {
        if status == 429 {
            return GatewayError(
                source: .upstream, code: "UPSTREAM_CALL_FAILED", status: 429,
                client: OpenAIErrorBody(
                    message: "The provider is limiting requests. Please try again later.",
                    type: "rate_limit_exceeded", code: "rate_limit_exceeded"),
                detail: "\(provider): \(detail)",
                retryAfterSeconds: retryAfterSeconds ?? 1)
        }
        return .upstream(
            status: 502, clientCode: "upstream_error", "The provider failed to answer this request.",
            detail: "\(provider): status \(status): \(detail)")
    }

    /// The provider refused the request as the client made it: its words go to the client.
    static func upstreamRejected(_ status: Int, _ error: ProviderError?, provider: Provider) -> GatewayError {
        GatewayError(
            source: .client, code: "UPSTREAM_REJECTED", status: status,
            client: OpenAIErrorBody(
                message: error.map { provider.redacted($0.message) } ?? "The provider refused this request.",
                type: "invalid_request_error",
                param: error?.param.map { provider.redacted($0) },
                code: error?.code.map { provider.redacted($0) } ?? "upstream_rejected"),
            detail: "\(provider.name): status \(status)")
    }

    static func upstreamGarbage(provider: String, _ detail: String) -> GatewayError {
        .upstream(
            status: 502, clientCode: "upstream_error", "The provider's answer could not be understood.",
            detail: "\(provider): \(detail)")
    }

    static let shuttingDown = unavailable(
        "SHUTTING_DOWN", "This server is restarting. Please try again.", detail: "drain deadline passed")

    init(_ error: SharedMetricsError) {
        self = .unavailable(
            "METRICS_UNAVAILABLE", "The metrics cannot be read right now.", detail: "\(error)")
    }

    static let overloaded = unavailable(
        "OVERLOADED", "This server has more requests than it can serve. Please try again.",
        detail: "queue full")
}

// MARK: - Admin endpoints

extension GatewayError {
    static func invalidParameter(_ name: String?, _ message: String) -> GatewayError {
        refusal(
            "INVALID_PARAMETER", status: 400, type: "invalid_request_error", clientCode: "invalid_parameter",
            message,
            param: name)
    }

    static func nothingOfThatName(_ detail: String) -> GatewayError {
        refusal(
            "NOT_FOUND", status: 404, type: "invalid_request_error", clientCode: "not_found",
            "There is none of that name.", detail: detail)
    }

    static func databaseUnavailable(_ detail: String) -> GatewayError {
        unavailable("DATABASE_UNAVAILABLE", "The database does not answer right now.", detail: detail)
    }

    static let invalidAdminToken = refusal(
        "INVALID_ADMIN_TOKEN", status: 401, type: "invalid_request_error", clientCode: "invalid_admin_token",
        "An admin token is needed: 'Authorization: Bearer tga_…'.")
}
