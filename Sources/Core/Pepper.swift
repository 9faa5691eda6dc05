/// The installation's secret: API keys are hashed with it, provider credentials sealed under a key derived from it.
///
/// It lives outside the database, so a copy of the database alone opens nothing.
package struct Pepper: Sendable {
    /// The secret bytes.
    package let bytes: [UInt8]

    /// Creates a pepper; nil when it is too short to be a secret (under 32 characters).
    package init?(_ text: String) {
        var bytes = Array(text.utf8)
        while let last = bytes.last, last == 0x0A || last == 0x0D || last == 0x20 { bytes.removeLast() }
        guard bytes.count >= 32 else { return nil }
        self.bytes = bytes
    }
}
