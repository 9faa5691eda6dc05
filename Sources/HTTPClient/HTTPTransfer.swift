/// An answer being received, from its headers on.
///
/// Whoever holds it owns a connection. Ending its life gives the connection back when the answer is complete and closes it
/// otherwise, which is how a provider learns that nobody listens any more.
package struct HTTPTransfer: ~Copyable {
    /// What one read brought.
    package enum ReadOutcome: Sendable, Equatable {
        /// This many bytes were appended.
        case data(Int)
        /// The body is complete.
        case end
        /// Nothing came for as long as the reader wanted to wait; it may read again.
        case idle
    }

    private let handle: TransferHandle
    private let pool: HandlePool

    init(handle: TransferHandle, pool: HandlePool) {
        self.handle = handle
        self.pool = pool
    }

    deinit {
        if handle.finish() { pool.put(handle) }
    }

    /// The status code of the answer; 200 or more.
    package var status: Int { handle.head.status }

    /// The value of the first header field of this name, in any case.
    package func header(_ name: String) -> String? {
        handle.head.value(of: name)
    }

    /// Whether the request went over a connection that had served another before.
    package var reusedConnection: Bool { handle.reusedConnection }

    /// Microseconds from the start of the call until the answer's headers were complete.
    package var firstByteMicroseconds: Int { handle.firstByteMicroseconds }

    /// Bytes of the body received until now.
    package var bytesReceived: Int { handle.bodyBytesReceived }

    /// Waits for more of the body and appends it to `buffer`.
    ///
    /// After `watchedDescriptor` the transfer is still whole: `stopWatching()` and read on, or let it go. After any other
    /// error it can only be let go.
    package mutating func read(
        into buffer: inout [UInt8], idleMilliseconds: Int = .max
    ) throws(HTTPClientError) -> ReadOutcome {
        try handle.read(into: &buffer, idleMilliseconds: idleMilliseconds)
    }

    /// Reads the body to its end.
    package mutating func readAll(bytesMax: Int) throws(HTTPClientError) -> [UInt8] {
        var body: [UInt8] = []
        while try read(into: &body) != .end {
            guard body.count <= bytesMax else { throw .bodyTooLarge }
        }
        return body
    }

    /// Watches no descriptor from now on: the client is known to be gone, and the answer is wanted all the same.
    package mutating func stopWatching() {
        handle.stopWatching()
    }

    /// Ends the transfer where it is, closing the connection unless the answer is complete.
    package consuming func cancel() {}
}
