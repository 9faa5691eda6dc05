import Ledger

/// A stream's bytes as they go to its client, kept for whoever asks again under the same idempotency key; up to a limit.
struct KeptAnswer: Sendable {
    private let bytesMax: Int
    private var bytes: [UInt8] = []
    /// Whether it has become too large: then nothing is kept of it.
    private(set) var isTooLarge = false

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// Keeps more of it.
    mutating func append(_ more: [UInt8]) {
        guard !isTooLarge else { return }
        bytes += more
        guard bytes.count > bytesMax else { return }
        isTooLarge = true
        bytes = []
    }

    /// The whole of it, with its last bytes.
    consuming func finished(_ last: [UInt8], contentType: String) -> StoredAnswer {
        append(last)
        return StoredAnswer(status: 200, contentType: contentType, body: isTooLarge ? nil : bytes)
    }
}
