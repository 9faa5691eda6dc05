package import Core
import FastCGI
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
        let caller = try caller(for: context.apiKey)
        context.externalAuth = ExternalAuthSection(caller: caller, budgetLimit: caller.key.budget?.limit)
    }

    /// The caller behind an API key.
    package func caller(for key: SecretText) throws(GatewayError) -> Caller {
        do throws(TenancyError) {
            return try keys.caller(for: key, unixSeconds: WallClock.unixMilliseconds / 1_000)
        } catch {
            throw GatewayError(error)
        }
    }
}

/// The secret a request shows.
enum Credentials {
    /// The API key that the request shows, in a form that may be one.
    static func apiKey(of exchange: Exchange) throws(GatewayError) -> SecretText {
        guard let key = SecretText(try key(of: exchange), kind: .apiKey) else { throw .invalidKey }
        return key
    }

    /// The one key in `Authorization` and `X-Api-Key`: both may carry it, but not two different ones.
    static func key(of exchange: Exchange) throws(GatewayError) -> String {
        var shown: String?
        for value in exchange.parameters("HTTP_AUTHORIZATION") where !value.isEmpty {
            guard let key = bearer(value) else { throw .invalidKey }
            guard shown == nil || shown == key else { throw .ambiguousCredentials }
            shown = key
        }
        for value in exchange.parameters("HTTP_X_API_KEY") where !value.isEmpty {
            guard shown == nil || shown == value else { throw .ambiguousCredentials }
            shown = value
        }
        guard let shown else { throw .missingKey }
        return shown
    }

    /// What stands behind the scheme `Bearer`, in any case, and blanks; nil for any other scheme.
    private static func bearer(_ value: String) -> String? {
        var value = value
        return value.withUTF8 { bytes in
            let isBearer = bytes.prefix(7).elementsEqual("bearer ".utf8) { $0 == $1 || $0 | 0x20 == $1 }
            guard isBearer else { return nil }
            return String(decoding: bytes.dropFirst(7).drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
        }
    }
}
