import Core
import Ledger
import TestSupport
import Testing
import Threads

/// Providers that fail before and after the first byte of their answer, through a scripted provider.
@Suite struct StreamingFailureTests {
    private static let providerError = #"{"error":{"message":"secret account 4711 is over","code":"boom"}}"#

    @Test func `an error before the first byte is a JSON error, and costs nothing`() throws {
        let scene = try StreamingScene("early")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.event(StreamingFailureTests.providerError)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.status == 502)
        #expect(client.header("content-type") == "application/json")
        #expect(try EndpointsError(client.body).code == "upstream_error")
        #expect(!client.text.contains("4711"))
        let row = try scene.caller.settledRow()
        #expect(row.status == "voided")
        #expect(row.errorCode == "UPSTREAM_CALL_FAILED")
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `an error after the first byte ends the stream, and what was delivered is charged`() throws {
        let scene = try StreamingScene("late")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.piece("two")
        #expect(client.waits(for: "\"two\""))
        call.event(StreamingFailureTests.providerError)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        #expect(!client.text.contains("[DONE]") && !client.text.contains("4711"))
        #expect(client.events.count == 3)
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_error")
        try expectObserved(scene, by: "provider", pieces: 2)
    }

    @Test func `usage that came before the failure is what is charged`() throws {
        let scene = try StreamingScene("reported")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.usage(prompt: 70, completion: 50)
        call.event(StreamingFailureTests.providerError)
        call.end()
        #expect(client.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.usageSource == "provider")
        #expect(row.interruptedBy == "provider")
        #expect(row.charge.nanodollars == 70 * 10_000 + 50 * 30_000)
    }

    @Test(arguments: [
        "data: {\"choices\":\n\n", "data: [1,2]\n\n", "data: {\"choices\":[]} x\n\n",
        "data: " + String(repeating: "x", count: 1_100_000) + "\n\n",
    ]) func `an event that cannot be read ends the stream with an error`(_ garbage: String) throws {
        let scene = try StreamingScene("unreadable")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        call.frame(garbage)
        #expect(client.readsToEnd())
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_error")
        #expect(!client.text.contains("[DONE]"))
        try expectObserved(scene, by: "provider", pieces: 1)
    }

    @Test(arguments: [true, false]) func `a stream that stops in the middle ends with an error`(
        _ isCut: Bool
    ) throws {
        let scene = try StreamingScene("stopped")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        if isCut { call.cut() } else { call.end(isDone: false) }
        #expect(client.readsToEnd())
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_error")
        #expect(!client.text.contains("[DONE]"))
        try expectObserved(scene, by: "provider", pieces: 1)
    }

    @Test func `a failure after nothing but keep-alives is an error event, and costs nothing`() throws {
        let scene = try StreamingScene("kept")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        #expect(client.waits(for: ": keep-alive\n\n"))
        call.cut()
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        #expect(client.events.count == 1)
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_error")
        #expect(try scene.caller.settledRow().status == "voided")
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `a provider's refusal of the request reaches the client with its status`() throws {
        let scene = try StreamingScene("refused")
        let client = try scene.ask()
        try scene.provider.call().answer(
            "400 Bad Request",
            #"{"error":{"message":"Too long for me.","param":"messages","code":"context_length_exceeded"}}"#)
        #expect(client.readsToEnd())
        #expect(client.status == 400)
        let error = try EndpointsError(client.body)
        #expect(error.code == "context_length_exceeded")
        #expect(error.param == "messages")
        #expect(error.message == "Too long for me.")
        #expect(try scene.caller.settledRow().status == "voided")
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `a refusal that quotes our credential is not shown`() throws {
        let scene = try StreamingScene("quoting")
        let client = try scene.ask()
        try scene.provider.call().answer(
            "422 Unprocessable Content",
            #"{"error":{"message":"No access for provider-secret.","code":"provider-secret"}}"#)
        #expect(client.readsToEnd())
        #expect(client.status == 422)
        #expect(!client.text.contains("provider-secret"))
        try scene.caller.expectBooks(charged: .zero)
    }

    @Test func `usage beyond the hold is charged up to the hold`() throws {
        let scene = try StreamingScene("overrun")
        let client = try scene.ask(#""max_tokens":10"#)
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.stop()
        call.usage(prompt: 4, completion: 1_000_000)
        call.end()
        #expect(client.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.usage.output == 1_000_000)
        #expect(row.charge == row.hold)
        try scene.caller.expectBooks(charged: row.hold)
    }

    /// Checks that a stream was charged for the pieces that were delivered, and the prompt as it is estimated.
    private func expectObserved(
        _ scene: StreamingScene, by: String, pieces: Int64, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let row = try scene.caller.settledRow(sourceLocation: sourceLocation)
        #expect(row.status == "committed", sourceLocation: sourceLocation)
        #expect(row.usageSource == "observed", sourceLocation: sourceLocation)
        #expect(row.interruptedBy == by, sourceLocation: sourceLocation)
        #expect(row.isError == (by != "client"), sourceLocation: sourceLocation)
        #expect(!row.streamCompleted, sourceLocation: sourceLocation)
        let usage = Usage(input: EndpointsCaller.estimatedInput, output: pieces)
        #expect(row.usage == usage, sourceLocation: sourceLocation)
        let charge = Money(nanodollars: StreamingScene.charge(output: pieces))
        try scene.caller.expectBooks(charged: charge, sourceLocation: sourceLocation)
    }
}
