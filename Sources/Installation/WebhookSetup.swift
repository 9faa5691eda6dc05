import Foundation

/// The webhook of a private installation: its address and its secret.
struct WebhookSetup {
    let layout: InstallationLayout

    /// Notes who is told of events, and makes the secret that they share with us.
    ///
    /// - Parameter url: Nil for whoever was told before, or nobody.
    func prepare(_ url: String?, in environment: inout EnvironmentFile) throws(InstallationError) {
        environment["TOLLGATE_WEBHOOK_URL"] = url ?? environment["TOLLGATE_WEBHOOK_URL"]
        guard environment["TOLLGATE_WEBHOOK_URL"] != nil else { return }
        let path = layout.webhookSecretPath
        if SystemCalls.read(path) == nil {
            try SystemCalls.write("whsec_\(Self.randomSecret())\n", to: path, mode: 0o600)
        }
        environment["TOLLGATE_WEBHOOK_SECRET_FILE"] = path
    }

    /// 256 random bits from the system's generator, in base64.
    private static func randomSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
            .base64EncodedString()
    }
}
