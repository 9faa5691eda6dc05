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
        return SecretText(id: id, text: body + String(decoding: checksum(body.utf8), as: UTF8.self))
    }

    private init(id: String, text: String) {
        self.id = id
        self.text = text
    }

    /// Reads a secret of the given kind; nil when its form or its checksum is wrong.
    package init?(_ text: String, kind: Kind) {
        var text = text
        let prefixLength = kind.rawValue.utf8.count + 1
        let id: String? = text.withUTF8 { bytes in
            let idEnd = prefixLength + SecretText.idLength
            let checkedLength = idEnd + 1 + SecretText.secretLength
            guard bytes.count == checkedLength + SecretText.checksumLength,
                bytes.starts(with: kind.rawValue.utf8), bytes[prefixLength - 1] == SecretText.separator,
                bytes[idEnd] == SecretText.separator,
                bytes[prefixLength..<idEnd].allSatisfy(SecretText.isAlphanumeric),
                bytes[(idEnd + 1)...].allSatisfy(SecretText.isAlphanumeric),
                bytes[checkedLength...].elementsEqual(SecretText.checksum(bytes[..<checkedLength]))
            else { return nil }
            return String(decoding: bytes[prefixLength..<idEnd], as: UTF8.self)
        }
        guard let id else { return nil }
        self.init(id: id, text: text)
    }

    private static func random(_ length: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String(
            decoding: (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            },
            as: UTF8.self)
    }

    private static let separator = UInt8(ascii: "_")

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    /// CRC-32 (ISO-HDLC) in base 62.
    private static func checksum(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes { crc = crc >> 8 ^ crcTable[Int((crc ^ UInt32(byte)) & 0xFF)] }
        var value = ~crc
        var digits = [UInt8](repeating: 0, count: checksumLength)
        for index in digits.indices.reversed() {
            digits[index] = alphabet[Int(value % 62)]
            value /= 62
        }
        return digits
    }

    /// The remainder of each byte.
    private static let crcTable: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
}

/// Makes of a secret what is stored of it: HMAC-SHA-256 of the text under the pepper.
///
/// Taking the key in is half the work, and done once: each hash continues on a copy.
package struct SecretHasher: Sendable {
    private let keyed: HMAC<SHA256>

    /// Creates a hasher for the secrets of one installation.
    package init(_ pepper: Pepper) {
        keyed = HMAC(key: SymmetricKey(data: pepper.bytes))
    }

    /// What is stored of a secret.
    package func hash(_ secret: SecretText) -> [UInt8] {
        Array(code(of: secret))
    }

    /// Whether the stored hash is this secret's, in time that does not depend on where they differ.
    package func matches(_ hash: [UInt8], _ secret: SecretText) -> Bool {
        code(of: secret) == hash
    }

    private func code(of secret: SecretText) -> HMAC<SHA256>.MAC {
        var hmac = keyed
        hmac.update(data: Array(secret.text.utf8))
        return hmac.finalize()
    }
}
