package import Core
import Crypto
import Foundation

/// Seals provider credentials for the database with AES-256-GCM, under a key derived from the installation's pepper.
package struct CredentialSeal: Sendable {
    private let key: SymmetricKey

    /// Derives the key.
    package init(pepper: Pepper) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: pepper.bytes),
            info: Array("tollgate provider credentials".utf8),
            outputByteCount: 32)
    }

    /// The sealed form of a credential: nonce, ciphertext and tag.
    ///
    /// Bound to its provider.
    package func seal(_ credential: String, provider: String) -> [UInt8]? {
        // Sealing fails only for lengths no credential has.
        guard
            let box = try? AES.GCM.seal(
                Array(credential.utf8), using: key, authenticating: Array(provider.utf8)),
            let combined = box.combined
        else { return nil }
        return Array(combined)
    }

    /// The credential in a sealed form; nil under another pepper, for another provider, or when it was changed.
    package func open(_ sealed: [UInt8], provider: String) -> String? {
        // Any failure means the same: it cannot be opened.
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let opened = try? AES.GCM.open(box, using: key, authenticating: Array(provider.utf8))
        else { return nil }
        return String(decoding: opened, as: UTF8.self)
    }
}
