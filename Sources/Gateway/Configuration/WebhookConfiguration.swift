import Foundation
package import Webhooks

/// Where events are sent, and the secret under which they are signed: what those need that send them.
package struct WebhookConfiguration: Sendable {
    /// The receiver.
    package let url: String
    /// Shared with it.
    package let secret: WebhookSecret

    /// Reads `TOLLGATE_WEBHOOK_URL` and `TOLLGATE_WEBHOOK_SECRET_FILE`; nil when there is no receiver.
    package init?(_ settings: inout Settings) {
        guard let url = settings.optionalText("TOLLGATE_WEBHOOK_URL"),
            let secret = WebhookConfiguration.readSecret(&settings)
        else { return nil }
        self.url = url
        self.secret = secret
    }

    /// The receiver, for those who only have to know whether there is one.
    static func readURL(_ settings: inout Settings) -> String? {
        guard let url = settings.optionalText("TOLLGATE_WEBHOOK_URL") else { return nil }
        let host = URLComponents(string: url).flatMap {
            ["http", "https"].contains($0.scheme) ? $0.host : nil
        }
        if host?.isEmpty ?? true || url.contains("@") {
            settings.add(
                mistake: "TOLLGATE_WEBHOOK_URL is '\(url)', but must be an address with http:// or https://")
        }
        return url
    }

    private static func readSecret(_ settings: inout Settings) -> WebhookSecret? {
        // systemd hands secrets over as files: LoadCredential=webhook-secret:….
        let credential = settings.optionalText("CREDENTIALS_DIRECTORY").map { $0 + "/webhook-secret" }
        guard let path = settings.optionalText("TOLLGATE_WEBHOOK_SECRET_FILE") ?? credential else {
            settings.add(
                mistake: "TOLLGATE_WEBHOOK_SECRET_FILE is not set: the file with the webhook's secret")
            return nil
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            settings.add(mistake: "TOLLGATE_WEBHOOK_SECRET_FILE: '\(path)' cannot be read")
            return nil
        }
        guard let secret = WebhookSecret(String(decoding: data, as: UTF8.self)) else {
            settings.add(
                mistake:
                    "TOLLGATE_WEBHOOK_SECRET_FILE: '\(path)' is not whsec_ and 24 to 64 bytes in base64; make it with: echo whsec_$(openssl rand -base64 32)"
            )
            return nil
        }
        return secret
    }
}
