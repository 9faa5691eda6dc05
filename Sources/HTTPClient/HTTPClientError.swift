/// Why a transfer failed.
///
/// Up to the request's first byte (`invalidRequest`, `resolveFailed`, `connectFailed`, `blockedAddress`,
/// `forbiddenAddress`, `tlsFailed`, `resourcesExhausted`, `timeout(.connect)`) the other side executed nothing. After that it may have, and only its answer
/// tells.
package enum HTTPClientError: Error, Equatable {
    /// A stage of a transfer that has a timeout of its own.
    package enum Stage: String, Sendable {
        case connect, firstByte, gap, total
    }

    /// The request cannot be sent as it stands: a malformed URL, method or header field.
    case invalidRequest(String)
    /// The host name has no address.
    case resolveFailed
    /// No address of the host accepted a connection.
    case connectFailed(String)
    /// No address of the host could be used, and this one is private or local, which the caller had not allowed.
    case blockedAddress(String)
    /// The same, but no permission would have helped: this address is never an API's.
    case forbiddenAddress(String)
    /// The TLS handshake failed, or the certificate is not to be trusted.
    case tlsFailed(String)
    /// This process has no descriptors or no memory left for a connection.
    case resourcesExhausted(String)
    /// A stage took longer than its timeout.
    case timeout(Stage)
    /// A watched descriptor became readable or was hung up: whoever waits for this transfer is gone, or must stop.
    case watchedDescriptor(Int32)
    /// The connection ended too early; with `answerBegun == false` it is unknown whether the request was executed.
    case connectionLost(answerBegun: Bool)
    /// The body is longer than the reader accepts.
    case bodyTooLarge
    /// The answer's header fields and trailers are longer than configured.
    case headersTooLarge
    /// The answer is not HTTP/1.1 as we accept it.
    case protocolError(String)
}
