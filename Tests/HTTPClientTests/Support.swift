import HTTPClient
import Testing
import Threads

/// Timeouts long enough never to matter on a busy machine.
let patient = HTTPTimeouts(
    connectMilliseconds: 20_000, firstByteMilliseconds: 20_000, gapMilliseconds: 20_000,
    totalMilliseconds: 60_000)

extension ScriptedServer {
    /// Starts a POST to this server.
    func post(
        _ transport: HTTPTransport, body: String = "{}", timeouts: HTTPTimeouts = patient,
        watching: [Int32] = [],
        headers: [(name: String, value: String)] = [("content-type", "application/json")]
    ) throws(HTTPClientError) -> HTTPTransfer {
        try transport.start(
            HTTPRequest(method: "POST", url: url(), headers: headers, body: Array(body.utf8)),
            timeouts: timeouts,
            watching: watching, allowsPrivateAddresses: true)
    }

    /// Posts and reads the whole answer.
    func exchange(
        _ transport: HTTPTransport, body: String = "{}", timeouts: HTTPTimeouts = patient,
        bytesMax: Int = 1 << 20
    ) throws(HTTPClientError) -> String {
        var transfer = try post(transport, body: body, timeouts: timeouts)
        return String(decoding: try transfer.readAll(bytesMax: bytesMax), as: UTF8.self)
    }

    /// The error that a whole exchange ends with; nil when it succeeds.
    func failure(_ transport: HTTPTransport = HTTPTransport(), timeouts: HTTPTimeouts = patient)
        -> HTTPClientError?
    {
        do throws(HTTPClientError) {
            _ = try exchange(transport, timeouts: timeouts)
            return nil
        } catch {
            return error
        }
    }
}

/// A clock started now.
struct Stopwatch {
    private let started = Deadline.now

    /// Milliseconds since the start.
    var milliseconds: Int { Int(started.elapsedNanoseconds / 1_000_000) }
}

/// Milliseconds that a sleeping test machine may add to any wait.
let slack = 900
