import TestSupport
import Testing
import Threads

/// Requests that must come to nothing: a model whose provider notices when it is called, and what to send to it.
struct BadInputTarget {
    /// The model, served by a provider that never answers.
    static let model = "untouched"

    let gateway: TestGateway
    let caller: EndpointsCaller
    private let provider: StreamingProvider

    private static let shared = Locked<Result<StreamingProvider, any Error>?>(nil)

    /// Finds the model, and makes a tenant for one test.
    init(_ label: String = "bad", allowedModels: [String]? = nil) throws {
        gateway = try EndpointsGateway.shared()
        provider = try BadInputTarget.provider(gateway)
        caller = try EndpointsCaller(label, at: gateway, allowedModels: allowedModels)
    }

    private static func provider(_ gateway: TestGateway) throws -> StreamingProvider {
        try shared.withLock { shared in
            if let shared { return try shared.get() }
            let made = Result<StreamingProvider, any Error> {
                let provider = try StreamingProvider()
                try EndpointsCatalog.addProvider(model, port: provider.port, at: gateway)
                try EndpointsCatalog.add(model, provider: model, upstreamModel: model, at: gateway)
                return provider
            }
            shared = made
            return try made.get()
        }
    }

    /// A body that is good but for what is added to it.
    static func body(_ members: String) -> [UInt8] {
        Array(EndpointsCaller.body(model, members).utf8)
    }

    /// Sends a body and returns the whole answer.
    ///
    /// - Parameters:
    ///   - headers: Header lines beside the usual ones, or instead of one that they name.
    ///   - method: The method and the address.
    func send(
        _ body: [UInt8], headers: [String] = [], to method: String = "POST /v1/chat/completions"
    ) throws -> StreamingClient {
        let usual = [
            "Host: localhost", "Authorization: Bearer \(caller.key)", "Content-Type: application/json",
            "Content-Length: \(body.count)",
        ]
        let given = Set(headers.map { $0.prefix { $0 != ":" }.lowercased() })
        let kept = usual.filter { !given.contains($0.prefix { $0 != ":" }.lowercased()) }
        // A header without a value stands for leaving it out.
        let lines = kept + headers.filter { !$0.hasSuffix(":") }
        return try sendRaw(
            Array("\(method) HTTP/1.0\r\n\(lines.joined(separator: "\r\n"))\r\n\r\n".utf8) + body)
    }

    /// Sends bytes as they are and returns the whole answer.
    func sendRaw(_ bytes: [UInt8]) throws -> StreamingClient {
        let client = try StreamingClient(gateway.url)
        client.send(bytes)
        let hasEnded = client.readsToEnd()
        #expect(hasEnded, "the connection stays open")
        return client
    }

    /// Checks that a request was refused in the shape of the API, charged nothing and reached no provider.
    func expectRefusal(
        _ answer: StreamingClient, _ status: Int, _ code: String?, param: String? = nil,
        type: String = "invalid_request_error", sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(answer.status == status, "\(answer.text.prefix(600))", sourceLocation: sourceLocation)
        #expect(answer.header("content-type") == "application/json", sourceLocation: sourceLocation)
        #expect(answer.header("x-request-id")?.isEmpty == false, sourceLocation: sourceLocation)
        #expect(answer.header("server") == "nginx", "a version is shown", sourceLocation: sourceLocation)
        let error = try EndpointsError(answer.body, sourceLocation: sourceLocation)
        #expect(error.code == code, "\(error.message)", sourceLocation: sourceLocation)
        #expect(error.param == param, "\(error.message)", sourceLocation: sourceLocation)
        #expect(error.type == type, sourceLocation: sourceLocation)
        try expectUntouched(sourceLocation: sourceLocation)
    }

    /// Checks that nothing was charged and no provider called.
    func expectUntouched(sourceLocation: SourceLocation = #_sourceLocation) throws {
        // One that another test is to blame for, perhaps, but no test may call it.
        let wasCalled = provider.turnsAway()
        #expect(!wasCalled, "the provider was called", sourceLocation: sourceLocation)
        try caller.expectUntouched(sourceLocation: sourceLocation)
    }
}
