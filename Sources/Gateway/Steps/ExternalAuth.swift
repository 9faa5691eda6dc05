package import Core
package import FastCGI
package import Tenancy
import Threads

/// Finds out who is calling: API key → tenant, key and what they may do.
package struct ExternalAuth: Step {
    package static let name: StepName = "external_auth"
    package static var dependsOn: [any Step.Type] { [Validation.self] }

    private let keys: KeyDirectory

    package init(keys: KeyDirectory) {
        self.keys = keys
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        context.externalAuth = ExternalAuthSection(caller: try caller(of: context.exchange))
    }

    /// The caller behind the request's credentials.
    package func caller(of exchange: Exchange) throws(GatewayError) -> Caller {
        let key = try Credentials.key(of: exchange)
        do throws(TenancyError) {
            return try keys.caller(for: key, unixSeconds: WallClock.unixMilliseconds / 1_000)
        } catch {
            throw GatewayError(error)
        }
    }
}

/// The secret a request shows.
enum Credentials {
    /// The one key in `Authorization` and `X-Api-Key`: both may carry it, but not two different ones.
    static func key(of exchange: Exchange) throws(GatewayError) -> String {
        var shown: Set<String> = []
        for value in exchange.parameters("HTTP_AUTHORIZATION") where !value.isEmpty {
            guard let bearer = bearer(value) else { throw .invalidKey }
            shown.insert(bearer)
        }
        for value in exchange.parameters("HTTP_X_API_KEY") where !value.isEmpty { shown.insert(value) }
        guard shown.count <= 1 else { throw .ambiguousCredentials }
        guard let key = shown.first else { throw .missingKey }
        return key
    }

    private static func bearer(_ value: String) -> String? {
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return parts[1].trimmingPrefix(" ").description
    }
}
