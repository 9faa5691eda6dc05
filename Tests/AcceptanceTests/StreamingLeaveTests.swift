import Core
import Ledger
import Quota
import TestSupport
import TestTools
import Testing
import Threads

/// Clients that go away before their answer is complete.
@Suite struct StreamingLeaveTests {
    /// Milliseconds within which a client's leaving is noticed: a second, and as much again for a busy machine.
    private static let noticed: Int32 = 2_000

    @Test(arguments: [true, false])
    func `leaving a provider that has not answered closes its connection and costs nothing`(
        _ isStream: Bool
    ) throws {
        let scene = try StreamingScene("left-silent")
        let client = try scene.ask(isStream: isStream)
        let call = try scene.provider.call()
        #expect(try scene.caller.onlyRow().status == "pending")
        #expect(!call.isLeft(milliseconds: 100))
        client.leave()
        #expect(call.isLeft(milliseconds: StreamingLeaveTests.noticed))
        let row = try scene.caller.settledRow()
        #expect(row.status == "voided")
        #expect(row.errorCode == "CLIENT_GONE")
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `leaving the hanging simulator is in its log`() throws {
        let gateway = try EndpointsGateway.shared()
        let caller = try EndpointsCaller("left-hanging", at: gateway)
        let client = try StreamingClient(gateway.url)
        client.postChat(key: caller.key, EndpointsCaller.body("sim-hang", #""stream":true"#))
        #expect(try Eventually.holds { try caller.rows().first?.status == "pending" })
        #expect(!client.waits(for: "HTTP", milliseconds: 200))
        client.leave()
        let row = try caller.settledRow()
        #expect(row.status == "voided")
        let outcomes = try caller.providerCalls(of: [row]).map(\.outcome)
        // On a very busy machine the provider may not have been called by then.
        #expect(outcomes == ["hung"] || outcomes.isEmpty)
    }

    @Test func `leaving in mid-stream closes the provider's connection and charges what was delivered`()
        throws
    {
        let scene = try StreamingScene("left-midway")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        for text in ["one", "two", "three"] { call.piece(text) }
        #expect(client.waits(for: "\"three\""))
        // The provider is silent now: it is the client's going that is noticed, not a failing write.
        client.leave()
        #expect(call.isLeft(milliseconds: StreamingLeaveTests.noticed))
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed")
        #expect(row.usageSource == "observed")
        #expect(row.interruptedBy == "client")
        #expect(row.usage == Usage(input: EndpointsCaller.estimatedInput, output: 3))
        try scene.caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 3)))
    }

    @Test
    func
        `fifty streams left after three events are charged as seen, and their providers left within a second`()
        throws
    {
        let gateway = try EndpointsGateway.shared()
        let caller = try EndpointsCaller("left-many", at: gateway)
        let members = #""stream":true"#
        _ = try Concurrently.run(50) { _ in
            let client = try StreamingClient(gateway.url)
            client.postChat(key: caller.key, EndpointsCaller.body("sim-slow", members))
            #expect(client.waits(for: "tok3 "))
            client.leave()
        }
        #expect(try Eventually.holds { try gateway.stores.books(caller.tenant).ledger.pending == 0 })
        let rows = try caller.rows()
        #expect(rows.count == 50)
        var charged: Int64 = 0
        for row in rows {
            #expect(
                row.status == "committed" && row.usageSource == "observed" && row.interruptedBy == "client")
            #expect(row.usage.output >= 3)
            #expect(row.charge.nanodollars == StreamingScene.charge(output: row.usage.output))
            charged += row.charge.nanodollars
        }
        let seen = Dictionary(rows.map { ($0.trace, $0.usage.output) }, uniquingKeysWith: +)
        let calls = try caller.providerCalls(of: rows)
        #expect(calls.count == 50)
        for call in calls {
            // A piece every 50 milliseconds: what was sent and not seen was sent within that second.
            #expect((0...20).contains(call.completion_tokens - (seen[call.trace ?? ""] ?? 0)), "\(call)")
        }
        #expect(try Eventually.holds { try gateway.stores.books(caller.tenant).image?.holds.isEmpty == true })
        try caller.expectBooks(charged: Money(nanodollars: charged))
    }

    @Test func `leaving after the provider's usage charges that usage`() throws {
        let scene = try StreamingScene("left-late")
        let client = try scene.ask(#""stream_options":{"include_usage":true}"#)
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.usage(prompt: 40, completion: 20)
        #expect(client.waits(for: #""completion_tokens":20"#))
        client.leave()
        #expect(call.isLeft(milliseconds: StreamingLeaveTests.noticed))
        let row = try scene.caller.settledRow()
        #expect(row.usageSource == "provider")
        #expect(row.interruptedBy == "client")
        try scene.caller.expectBooks(charged: Money(nanodollars: 40 * 10_000 + 20 * 30_000))
    }

    @Test func `leaving after the last words waits for the provider's usage`() throws {
        let (scene, call) = try leftAfterTheLastWords("left-last")
        #expect(!call.isLeft(milliseconds: 100))
        call.usage(prompt: 400, completion: 200)
        #expect(call.isLeft(milliseconds: StreamingLeaveTests.noticed))
        let row = try scene.caller.settledRow()
        #expect(row.usageSource == "provider")
        #expect(row.interruptedBy == "client")
        try scene.caller.expectBooks(charged: Money(nanodollars: 400 * 10_000 + 200 * 30_000))
    }

    @Test func `a usage that never comes is not waited for without end`() throws {
        let (scene, call) = try leftAfterTheLastWords("left-never")
        // Two seconds, and the time of a busy machine.
        #expect(call.isLeft(milliseconds: 10_000))
        let row = try scene.caller.settledRow()
        #expect(row.usageSource == "observed")
        try scene.caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 1)))
    }

    /// A stream whose client left when it had all of the text, before the provider told the usage.
    private func leftAfterTheLastWords(
        _ label: String
    ) throws -> (scene: StreamingScene, call: StreamingProvider.Call) {
        let scene = try StreamingScene(label)
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.stop()
        #expect(client.waits(for: #""finish_reason":"stop""#))
        client.leave()
        return (scene, call)
    }

    @Test func `a client that half-closes has left`() throws {
        let scene = try StreamingScene("half-closed")
        let client = try scene.ask()
        let call = try scene.provider.call()
        client.halfClose()
        #expect(call.isLeft(milliseconds: StreamingLeaveTests.noticed))
        #expect(try scene.caller.settledRow().status == "voided")
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `a client that leaves while its body is on the way never becomes a request`() throws {
        let scene = try StreamingScene("left-body")
        let client = try StreamingClient(scene.gateway.url)
        let body = EndpointsCaller.body(scene.model)
        client.send(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                + "\(scene.caller.key)\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count + 1)\r\n\r\n\(body)")
        client.halfClose()
        #expect(client.readsToEnd())
        #expect(client.status == 0 || client.status == 400)
        #expect(!scene.provider.isCalled)
        try scene.caller.expectUntouched()
    }
}
