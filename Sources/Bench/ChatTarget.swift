package import Core
import HTTPClient
import JSON

/// Where the chat requests of a load go, and for which model.
package struct ChatTarget: Sendable {
    /// The address that requests are posted to.
    package let url: String
    /// What the server knows us by; nil for nothing.
    package let key: String?
    /// The model that is asked for.
    package let model: String

    /// Creates a target.
    ///
    /// - Parameter api: Where the API begins: `http://127.0.0.1:8080/v1`.
    package init(api: String, key: String?, model: String) {
        url = api + "/chat/completions"
        self.key = key
        self.model = model
    }

    /// What a tenant might ask: together with the rest of the body about a kilobyte.
    private static let messages: [(role: String, content: String)] = [
        (
            "system",
            """
            You help the readers of a public library. Be brief and friendly, quote the rules of the house where they matter, \
            and when something is not in the rules say so and name the desk that knows.
            """
        ),
        (
            "user",
            """
            Good morning! Three weeks ago I borrowed two novels and an atlas. One of the novels fell into the bath and looks \
            accordingly, and the atlas I would like to keep for another fortnight, because my daughter needs it for school. \
            I have also lost the card itself. What will all of that cost me, may I pay it in instalments, and can I come on a \
            Saturday to sort it out?
            """
        ),
        ("assistant", "What a pity about the novel! Do you remember its title, and when the atlas is due?"),
        (
            "user",
            """
            It was the one about the lighthouse keeper, in paperback. The atlas is due on Thursday. Please write me a short \
            note that I can hand in at the desk and that mentions all three things.
            """
        ),
    ]

    /// The body of a request.
    package func body(isStream: Bool) -> String {
        var members = [
            JSONMember("model", .string(model)),
            JSONMember(
                "messages",
                .array(
                    Self.messages.map { message in
                        .object([
                            JSONMember("role", .string(message.role)),
                            JSONMember("content", .string(message.content)),
                        ])
                    })), JSONMember("max_tokens", JSONValue(64)),
        ]
        if isStream { members.append(JSONMember("stream", .bool(true))) }
        return String(decoding: JSONValue.object(members).encoded, as: UTF8.self)
    }

    /// Sends one plain request and returns what it was charged, if the server says so; any answer but 200 is an error.
    package func probe() throws(BenchError) -> Money? {
        var headers = [(name: "content-type", value: "application/json")]
        if let key { headers.append(("authorization", "Bearer " + key)) }
        let request = HTTPRequest(url: url, headers: headers, body: Array(body(isStream: false).utf8))
        let answer = try Web.answer(to: request)
        guard answer.status == 200 else {
            // A body that is no JSON, from something that is not a gateway, is quoted as it is.
            let error = try? JSONValue(parsing: answer.body)["error"]
            let message =
                error?["message"]?.stringValue ?? String(decoding: answer.body.prefix(300), as: UTF8.self)
            throw .refused(url: url, status: answer.status, message: message)
        }
        return answer.cost.flatMap { Money(decimal: $0) }
    }
}

/// Single requests, before and after a load.
enum Web {
    private static let transport = HTTPTransport()
    private static let timeouts = HTTPTimeouts(
        connectMilliseconds: 5_000, firstByteMilliseconds: 30_000, gapMilliseconds: 30_000,
        totalMilliseconds: 60_000)
    private static let bodyBytesMax = 4 << 20

    static func answer(
        to request: HTTPRequest
    ) throws(BenchError) -> (status: Int, cost: String?, body: [UInt8]) {
        do throws(HTTPClientError) {
            var transfer = try transport.start(request, timeouts: timeouts, allowsPrivateAddresses: true)
            let body = try transfer.readAll(bytesMax: bodyBytesMax)
            return (transfer.status, transfer.header("x-tollgate-cost"), body)
        } catch {
            let reason =
                switch error {
                case .connectFailed(let reason), .tlsFailed(let reason): reason
                case .resolveFailed: "its name has no address"
                case .timeout: "it takes too long"
                default: "\(error)"
                }
            throw .unreachable(url: request.url, reason: reason)
        }
    }
}
