import HTTPClient

/// A plain HTTP client for tests.
package enum TestHTTP {
    /// An answer.
    package struct Answer: Sendable {
        /// The status; 0 when there was no answer.
        package let status: Int
        /// The body.
        package let body: String
        /// The value of a header.
        package let headers: [String: String]
    }

    private static let transport = HTTPTransport()
    private static let shown = [
        "content-type", "retry-after", "x-request-id", "x-tollgate-cost", "x-tollgate-balance",
        "x-should-retry", "idempotent-replayed",
        "allow", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
    ]

    /// Gets an address; an answer of status 0 when nothing answers.
    package static func get(_ url: String, key: String? = nil) throws -> Answer {
        try send("GET", url, key: key, body: "")
    }

    /// Posts JSON.
    package static func post(_ url: String, key: String?, _ body: String) throws -> Answer {
        try send("POST", url, key: key, body: body)
    }

    /// Sends a request.
    package static func send(
        _ method: String, _ url: String, key: String?, body: String, headers extra: [(String, String)] = []
    ) throws -> Answer {
        var headers: [(name: String, value: String)] = extra.map { ($0.0, $0.1) }
        if let key { headers.append(("authorization", "Bearer \(key)")) }
        if !body.isEmpty, !extra.contains(where: { $0.0 == "content-type" }) {
            headers.append(("content-type", "application/json"))
        }
        let timeouts = HTTPTimeouts(
            connectMilliseconds: 5_000, firstByteMilliseconds: 60_000, gapMilliseconds: 60_000,
            totalMilliseconds: 120_000)
        do throws(HTTPClientError) {
            var transfer = try transport.start(
                HTTPRequest(method: method, url: url, headers: headers, body: Array(body.utf8)),
                timeouts: timeouts,
                allowsPrivateAddresses: true)
            let status = transfer.status
            let found = shown.compactMap { name in transfer.header(name).map { (name, $0) } }
            let bytes = try transfer.readAll(bytesMax: 64 * 1_024 * 1_024)
            return Answer(
                status: status, body: String(decoding: bytes, as: UTF8.self),
                headers: Dictionary(found, uniquingKeysWith: { first, _ in first }))
        } catch {
            return Answer(status: 0, body: "\(error)", headers: [:])
        }
    }
}
