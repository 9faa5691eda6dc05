package import Core
import FastCGI

/// What a request asks for: decided once, from the raw path, for authorisation and dispatch alike.
package enum Route: Sendable, Equatable {
    case chatCompletions
    case models
    case model(String)
    case health
    case readiness
    case metrics
    case adminTenants
    case adminTenant(TenantID)
    case adminKey(APIKeyID)
    case adminTransactions

    /// Which nginx server may reach it.
    package enum Listener: String, Sendable {
        case publicServer = "public"
        case adminServer = "admin"

        /// The FastCGI parameter in which nginx says it.
        package static let parameterName = "TOLLGATE_LISTENER"
    }

    /// The method it takes.
    package var method: String {
        switch self {
        case .chatCompletions: "POST"
        case .adminTenant, .adminKey: "PATCH"
        default: "GET"
        }
    }

    /// The route of a path as the client wrote it, on one of the two servers; nil when there is none.
    ///
    /// Paths are compared as they are: no decoding, no merging of slashes, no dots, so that there is one spelling of each; only the
    /// name of a model, which is data, is decoded.
    package init?(path: String, listener: Listener) {
        switch (listener, path) {
        case (_, "/healthz"): self = .health
        case (_, "/readyz"): self = .readiness
        case (.publicServer, "/v1/chat/completions"): self = .chatCompletions
        case (.publicServer, "/v1/models"): self = .models
        case (.publicServer, let path) where path.hasPrefix("/v1/models/"):
            // A name may hold a slash, which client libraries encode.
            let name = PercentCoding.decoded(path.dropFirst("/v1/models/".count), isPlusBlank: false)
            guard let name else { return nil }
            self = .model(name)
        case (.adminServer, "/metrics"): self = .metrics
        case (.adminServer, "/admin/v1/tenants"): self = .adminTenants
        case (.adminServer, "/admin/v1/transactions"): self = .adminTransactions
        case (.adminServer, let path) where path.hasPrefix("/admin/v1/tenants/"):
            guard let id = TenantID(String(path.dropFirst("/admin/v1/tenants/".count))) else { return nil }
            self = .adminTenant(id)
        case (.adminServer, let path) where path.hasPrefix("/admin/v1/keys/"):
            guard let id = APIKeyID(String(path.dropFirst("/admin/v1/keys/".count))) else { return nil }
            self = .adminKey(id)
        default: return nil
        }
    }

    /// Whether an admin token is needed.
    package var needsAdminToken: Bool {
        switch self {
        case .adminTenants, .adminTenant, .adminKey, .adminTransactions: true
        default: false
        }
    }
}

/// The parts of a request line.
struct RequestLine {
    let method: String
    let path: String
    let query: String
    let listener: Route.Listener?

    init(_ exchange: Exchange) {
        method = exchange.parameter("REQUEST_METHOD") ?? ""
        let target = exchange.parameter("REQUEST_URI") ?? ""
        let pathEnd = target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex
        path = String(target[..<pathEnd])
        query = String(Substring(target.utf8[pathEnd...].dropFirst()))
        listener = exchange.parameter(Route.Listener.parameterName).flatMap { Route.Listener(rawValue: $0) }
    }
}
