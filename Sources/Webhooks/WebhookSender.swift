package import HTTPClient
import Threads

/// What came of sending an event.
package enum WebhookOutcome: Sendable, Equatable {
    /// The receiver has it.
    case accepted
    /// The receiver answered with another status than 2xx.
    case refused(String)
    /// The receiver did not answer: others sent now would fare no better.
    case silent(String)
}

/// Sends events to the one webhook of an installation, signed as Standard Webhooks are.
package struct WebhookSender: Sendable {
    private let url: String
    private let secret: WebhookSecret
    private let millisecondsMax: Int
    private let transport: HTTPTransport

    /// Creates a sender.
    ///
    /// - Parameters:
    ///   - url: The operator's choice: it may be at a private address.
    ///   - millisecondsMax: How long one sending may take in all.
    package init(
        url: String, secret: WebhookSecret, millisecondsMax: Int = 10_000,
        transport: HTTPTransport = HTTPTransport()
    ) {
        self.millisecondsMax = millisecondsMax
        self.url = url
        self.secret = secret
        self.transport = transport
    }

    /// Sends an event once; the receiver may get it although its answer does not arrive.
    ///
    /// - Parameter body: Its body as it was made, the same each time.
    package func send(id: String, body: String) -> WebhookOutcome {
        let now = WallClock.unixMilliseconds / 1_000
        let request = HTTPRequest(
            url: url,
            headers: [
                ("content-type", "application/json"), ("user-agent", "tollgate"), ("webhook-id", id),
                ("webhook-timestamp", String(now)),
                ("webhook-signature", secret.signature(id: id, unixSeconds: now, body: body)),
            ], body: Array(body.utf8))
        let timeouts = HTTPTimeouts(
            connectMilliseconds: millisecondsMax / 2, firstByteMilliseconds: millisecondsMax,
            gapMilliseconds: millisecondsMax, totalMilliseconds: millisecondsMax)
        do throws(HTTPClientError) {
            let status = try transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true).status
            return (200..<300).contains(status) ? .accepted : .refused("the receiver answered \(status)")
        } catch {
            return .silent("\(error)")
        }
    }
}
