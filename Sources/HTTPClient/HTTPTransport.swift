import CLibCurl
import Threads

/// Sends requests and hands back their answers as streams; connections stay warm between requests to one URL.
///
/// Every call blocks its thread, and any number of threads may call. No request is ever sent twice: libcurl's silent second
/// attempt after a reused connection died is refused, and redirects are answers like any other.
package final class HTTPTransport: Sendable {
    /// The limits of a transport.
    package struct Configuration: Sendable {
        /// Idle connections kept, over all URLs.
        package var idleConnectionsMax = 1_024
        /// How long a connection may have been idle and still be used again.
        package var idleSecondsMax = 30
        /// How old a connection may become, so that changed addresses are noticed.
        package var connectionSecondsMax = 600
        /// Bytes of header fields in one answer, interim answers and trailers included.
        package var headerBytesMax = 64 * 1_024
        /// Bytes of the body held for a reader that has not asked for them yet.
        package var bufferedBytesMax = 256 * 1_024
        /// The certificate authorities to trust, in PEM form.
        package var caFile = "/etc/ssl/certs/ca-certificates.crt"

        /// Creates the default limits.
        package init() {}
    }

    private static let isLibraryReady: Bool = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

    private let configuration: Configuration
    private let pool: HandlePool

    /// Creates a transport without connections.
    package init(configuration: Configuration = Configuration()) {
        precondition(Self.isLibraryReady, "libcurl could not be initialised")
        self.configuration = configuration
        pool = HandlePool(
            idleMax: configuration.idleConnectionsMax, idleMilliseconds: configuration.idleSecondsMax * 1_000)
    }

    /// Sends the request and waits for the answer's status line and headers.
    ///
    /// - Parameters:
    ///   - request: What to send.
    ///   - timeouts: The bounds of each stage; the total begins now.
    ///   - watching: Descriptors whose becoming readable or hung up ends any wait of this transfer within milliseconds. A
    ///     client's connection must have been read to its end before.
    ///   - allowsPrivateAddresses: Whether private and local addresses may be connected to; some others never are.
    package func start(
        _ request: HTTPRequest, timeouts: HTTPTimeouts, watching: [Int32] = [],
        allowsPrivateAddresses: Bool = false
    ) throws(HTTPClientError) -> HTTPTransfer {
        try RequestRules.check(method: request.method)
        let handle: TransferHandle
        if let idle = pool.take(request.url, allowsPrivateAddresses: allowsPrivateAddresses) {
            handle = idle
        } else {
            handle = try TransferHandle(
                url: request.url, configuration: configuration,
                allowsPrivateAddresses: allowsPrivateAddresses)
        }
        try handle.begin(request, timeouts: timeouts, watching: watching)
        return HTTPTransfer(handle: handle, pool: pool)
    }

    /// Closes connections that have been idle for too long, and returns how many.
    ///
    /// To be called now and then by a thread that has time: no other call does it.
    @discardableResult
    package func closeExpired() -> Int {
        pool.prune()
    }
}
