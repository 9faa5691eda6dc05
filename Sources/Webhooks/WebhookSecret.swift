import Crypto
import Foundation

/// The secret under which events are signed, shared with the receiver.
///
/// Written as Standard Webhooks do: `whsec_` and 24 to 64 bytes in base64.
package struct WebhookSecret: Sendable {
    private static let prefix = "whsec_"
    private let key: SymmetricKey

    /// Reads a secret, blanks around it ignored; nil when it is of another form.
    package init?(_ text: String) {
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard trimmed.hasPrefix(Self.prefix),
            let bytes = Data(base64Encoded: String(trimmed.dropFirst(Self.prefix.count))),
            (24...64).contains(bytes.count)
        else { return nil }
        key = SymmetricKey(data: bytes)
    }

    /// The signature of an event that is sent at a moment: `v1,` and HMAC-SHA-256 of `id.timestamp.body` in base64.
    package func signature(id: String, unixSeconds: Int64, body: String) -> String {
        let signed = Array("\(id).\(unixSeconds).\(body)".utf8)
        let code = HMAC<SHA256>.authenticationCode(for: signed, using: key)
        return "v1," + Data(code).base64EncodedString()
    }
}
