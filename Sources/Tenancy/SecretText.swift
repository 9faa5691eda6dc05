package import Core
import Crypto

/// A secret as its owner holds it: `<prefix>_<id>_<secret><checksum>`.
///
/// The id is public and finds the row; the secret has 178 random bits; the checksum (CRC-32, six characters) refuses mistyped and
/// truncated secrets before any look-up. Only an HMAC of the whole text is stored.
package struct SecretText: Sendable, Hashable {
    /// What kind of secret it is.
    package enum Kind: String, Sendable {
        /// A tenant's API key.
        case apiKey = "tg"
        /// An operator's token for the admin endpoints.
        case adminToken = "tga"
    }

    /// The public part.
    package let id: String
    /// The whole text.
    ///
    /// Never logged.
    package let text: String

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    private static let idLength = 12
    private static let secretLength = 30
    private static let checksumLength = 6

    /// Creates a new random secret.
    package static func make(_ kind: Kind) -> SecretText {
        let id = random(idLength)
        let body = "\(kind.rawValue)_\(id)_\(random(secretLength))"
        return SecretText(id: id, text: body + checksum(body))
    }

    private init(id: String, text: String) {
        self.id = id
        self.text = text
    }

    /// Reads a secret of the given kind; nil when its form or its checksum is wrong.
    package init?(_ text: String, kind: Kind) {
        let prefix = kind.rawValue + "_"
        let length =
            prefix.utf8.count + SecretText.idLength + 1 + SecretText.secretLength + SecretText.checksumLength
        guard text.utf8.count == length, text.hasPrefix(prefix) else { return nil }
        let rest = text.dropFirst(prefix.count)
        let id = String(rest.prefix(SecretText.idLength))
        let tail = rest.dropFirst(SecretText.idLength)
        let isAlphanumeric = (id + tail.dropFirst()).utf8.allSatisfy { SecretText.alphabet.contains($0) }
        guard tail.first == "_", isAlphanumeric,
            SecretText.checksum(String(text.dropLast(SecretText.checksumLength)))
                == text.suffix(SecretText.checksumLength)
        else { return nil }
        self.init(id: id, text: text)
    }

    /// What is stored: HMAC-SHA-256 of the text under the pepper.
    package func hash(_ pepper: Pepper) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: pepper.bytes)))
    }

    /// Whether the stored hash is this secret's, in time that does not depend on where they differ.
    package func matches(_ hash: [UInt8], _ pepper: Pepper) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(
            hash, authenticating: Array(text.utf8), using: SymmetricKey(data: pepper.bytes))
    }

    private static func random(_ length: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String(
            decoding: (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            },
            as: UTF8.self)
    }

    /// CRC-32 (ISO-HDLC) in base 62.
    private static func checksum(_ text: String) -> String {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in text.utf8 {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        var value = ~crc
        var digits: [UInt8] = []
        for _ in 0..<checksumLength {
            digits.append(alphabet[Int(value % 62)])
            value /= 62
        }
        return String(decoding: digits.reversed(), as: UTF8.self)
    }
}
