import Core
import Ledger
import TestSupport
import Testing

/// A model that two providers serve: the second is asked when the first fails before its first byte, and only then.
@Suite struct StreamingFailoverTests {
    /// What the first provider does.
    enum Fault: String, CaseIterable {
        case error500 = "500 Internal Server Error"
        case limited = "429 Too Many Requests"
        case unauthorized = "401 Unauthorized"
        case unknownModel = "404 Not Found"
        case closes
        case errorEvent
        case garbageEvent
        case emptyStream
    }

    private struct Pair {
        let gateway: TestGateway
        let caller: EndpointsCaller
        let first: StreamingProvider
        let second: StreamingProvider
        let model: String

        init() throws {
            gateway = try EndpointsGateway.shared()
            caller = try EndpointsCaller("failover", at: gateway)
            first = try StreamingProvider()
            second = try StreamingProvider()
            model = "failover-\(first.port)"
            // The price comes with the last, so that the gateway serves the model only when it knows both.
            for (priority, provider) in [(2, second), (1, first)] {
                let name = "\(model)-\(priority)"
                try EndpointsCatalog.addProvider(name, port: provider.port, at: gateway)
                try EndpointsCatalog.add(
                    model, provider: name, upstreamModel: name, priority: priority,
                    rates: priority == 1 ? TestGateway.rates : nil, at: gateway)
            }
        }

        func ask(_ members: String) throws -> StreamingClient {
            let client = try StreamingClient(gateway.url)
            client.postChat(key: caller.key, EndpointsCaller.body(model, members))
            return client
        }
    }

    @Test(arguments: Fault.allCases) func `a provider that fails at first is replaced, and one is paid`(
        _ fault: Fault
    ) throws {
        let pair = try Pair()
        let client = try pair.ask(#""stream":true"#)
        let failing = try pair.first.call()
        #expect(failing.request.contains("\(pair.model)-1"))
        switch fault {
        case .closes: failing.cut()
        case .errorEvent:
            failing.begin()
            failing.event(#"{"error":{"message":"no"}}"#)
        case .garbageEvent:
            failing.begin()
            failing.event("not JSON")
        case .emptyStream:
            failing.begin()
            failing.end(isDone: false)
        default: failing.answer(fault.rawValue, #"{"error":{"message":"no"}}"#)
        }
        let serving = try pair.second.call()
        #expect(serving.request.contains("\(pair.model)-2"))
        #expect(serving.request.lowercased().contains("\r\nx-tollgate-attempt: 2\r\n"))
        serving.begin()
        serving.piece("one")
        serving.stop()
        serving.usage(prompt: 4, completion: 1)
        serving.end()
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        #expect(client.events.last == "[DONE]")
        let row = try pair.caller.settledRow()
        #expect(row.provider == "\(pair.model)-2")
        try pair.caller.expectBooks(charged: Money(nanodollars: 4 * 10_000 + 30_000))
    }

    @Test func `a request that is at fault itself is not tried elsewhere`() throws {
        let pair = try Pair()
        let client = try pair.ask("")
        try pair.first.call().answer("400 Bad Request", #"{"error":{"message":"no"}}"#)
        #expect(client.readsToEnd())
        #expect(client.status == 400)
        #expect(!pair.second.isCalled)
        try pair.caller.expectBooks(charged: .zero)
    }

    @Test func `a provider that fails after its first byte is not replaced`() throws {
        let pair = try Pair()
        let client = try pair.ask(#""stream":true"#)
        let call = try pair.first.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        call.cut()
        #expect(client.readsToEnd())
        #expect(!pair.second.isCalled)
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_error")
        try pair.caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 1)))
    }

    @Test func `when all fail the client is told, and nothing is charged`() throws {
        let pair = try Pair()
        let client = try pair.ask("")
        try pair.first.call().answer("500 Internal Server Error", "{}")
        try pair.second.call().answer("503 Service Unavailable", "{}")
        #expect(client.readsToEnd())
        #expect(client.status == 502)
        #expect(try EndpointsError(client.body).code == "upstream_error")
        #expect(try pair.caller.settledRow().status == "voided")
        try pair.caller.expectBooks(charged: .zero)
    }
}
