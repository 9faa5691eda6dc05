/// What to send: one request with its whole body.
package struct HTTPRequest: Sendable {
    /// The method, in capitals.
    package var method: String
    /// An absolute `http://` or `https://` URL without user information.
    package var url: String
    /// Header fields in the order they are sent.
    ///
    /// `content-length`, `transfer-encoding`, `connection` and `expect` are not the caller's to set.
    package var headers: [(name: String, value: String)]
    /// The body; empty for none.
    package var body: [UInt8]

    /// Creates a request.
    package init(
        method: String = "POST", url: String, headers: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// How long each stage of a transfer may take.
package struct HTTPTimeouts: Sendable {
    /// Resolving the name, connecting and the TLS handshake.
    package var connectMilliseconds: Int
    /// From the moment the connection is ready until the answer's headers are complete; sending the body counts.
    package var firstByteMilliseconds: Int
    /// How long a reader waits for the next byte of the body.
    package var gapMilliseconds: Int
    /// The whole transfer, whatever happens in it.
    package var totalMilliseconds: Int

    /// Creates a set of timeouts.
    package init(
        connectMilliseconds: Int, firstByteMilliseconds: Int, gapMilliseconds: Int, totalMilliseconds: Int
    ) {
        self.connectMilliseconds = connectMilliseconds
        self.firstByteMilliseconds = firstByteMilliseconds
        self.gapMilliseconds = gapMilliseconds
        self.totalMilliseconds = totalMilliseconds
    }
}
