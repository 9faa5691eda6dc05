package import TestTools

/// Asks one process past nginx.
package enum TestFastCGI {
    /// Sends one request as nginx would, and returns the answer; one of status 0 when there is none.
    ///
    /// - Parameters:
    ///   - listener: Which of nginx's servers it would have come through: `public` or `admin`.
    ///   - key: The API key or admin token.
    package static func ask(
        _ socketPath: String, _ method: String, _ path: String, listener: String = "public",
        key: String? = nil, body: String = ""
    ) -> TestHTTP.Answer {
        ask(
            FastCGIClient(path: socketPath, timeoutSeconds: 60), method, path, listener: listener, key: key,
            body: body)
    }

    /// Sends one request over a connection and reads the answer; one of status 0 without a connection.
    package static func ask(
        _ client: FastCGIClient?, _ method: String, _ path: String, listener: String = "public",
        key: String? = nil, body: String = ""
    ) -> TestHTTP.Answer {
        var parameters = [
            ("REQUEST_METHOD", method), ("REQUEST_URI", path), ("TOLLGATE_LISTENER", listener),
            ("CONTENT_TYPE", "application/json"), ("CONTENT_LENGTH", String(body.utf8.count)),
        ]
        if let key { parameters.append(("HTTP_AUTHORIZATION", "Bearer \(key)")) }
        client?.send(Records.request(parameters: parameters, body: Array(body.utf8)))
        return TestHTTP.Answer(wire: client?.answer() ?? "")
    }
}
