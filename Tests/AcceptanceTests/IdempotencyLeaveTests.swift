import Core
import Ledger
import TestSupport
import TestTools
import Testing

/// Clients that leave with an `Idempotency-Key`: the answer is fetched all the same, for when they come back.
@Suite struct IdempotencyLeaveTests {
    /// Asks again under the key.
    private func again(_ scene: StreamingScene, isStream: Bool = true) throws -> TestHTTP.Answer {
        try TestHTTP.send(
            "POST", scene.gateway.url + "/v1/chat/completions", key: scene.caller.key,
            body: EndpointsCaller.body(scene.model, isStream ? #""stream":true"# : ""),
            headers: [("idempotency-key", "k")])
    }

    private func code(_ answer: TestHTTP.Answer) throws -> String? { try EndpointsError(answer.body).code }

    @Test func `a stream whose client has left is read to its end, charged whole and given again`() throws {
        let scene = try StreamingScene("left-keyed")
        let client = try scene.ask(idempotencyKey: "k")
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        let seen = client.body
        client.leave()
        #expect(!call.isLeft(milliseconds: 300))
        #expect(try code(again(scene)) == "idempotency_key_in_use")
        for text in ["two", "three"] { call.piece(text) }
        call.stop()
        call.usage(prompt: 40, completion: 20)
        call.end()
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.streamCompleted && row.interruptedBy == nil)
        try scene.caller.expectBooks(charged: Money(nanodollars: 40 * 10_000 + 20 * 30_000))
        let answer = try again(scene)
        #expect(answer.headers["idempotent-replayed"] == "true" && answer.trace?.description == row.trace)
        #expect(!seen.isEmpty && answer.body.hasPrefix(seen))
        #expect(answer.body.contains("\"three\"") && answer.body.hasSuffix("data: [DONE]\n\n"))
        // It had not asked for the usage.
        #expect(!answer.body.contains("completion_tokens"))
        #expect(!scene.provider.isCalled)
        try scene.caller.expectBooks(charged: row.charge)
    }

    @Test(arguments: [false, true])
    func `a client that leaves a silent provider is answered when it comes back`(isStream: Bool) throws {
        let scene = try StreamingScene("left-silent-keyed")
        let client = try scene.ask(isStream: isStream, idempotencyKey: "k")
        let call = try scene.provider.call()
        client.leave()
        // As long as another's leaving takes to be noticed.
        #expect(!call.isLeft(milliseconds: 1_500))
        if isStream {
            call.begin()
            call.piece("late")
            call.stop()
            call.usage(prompt: 4, completion: 1)
            call.end()
        } else {
            call.answer(
                "200 OK",
                #"{"choices":[{"index":0,"message":{"role":"assistant","content":"late"},"finish_reason":"stop"}],"#
                    + #""usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}"#)
        }
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.charge == Money(nanodollars: 4 * 10_000 + 30_000))
        let answer = try again(scene, isStream: isStream)
        #expect(answer.status == 200 && answer.body.contains("\"late\""))
        #expect(answer.headers["idempotent-replayed"] == "true")
        try scene.caller.expectBooks(charged: row.charge)
    }

    @Test
    func `a provider that breaks off after the client has left is charged as seen, and not called again`()
        throws
    {
        let scene = try StreamingScene("left-broken")
        let client = try scene.ask(idempotencyKey: "k")
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        client.leave()
        call.piece("two")
        call.piece("three")
        call.cut()
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.interruptedBy == "provider")
        #expect(row.usage.output == 3)
        #expect(try code(again(scene)) == "idempotency_key_interrupted")
        #expect(!scene.provider.isCalled)
    }

    @Test func `a provider that fails after the client has left may be called again`() throws {
        let scene = try StreamingScene("left-failed")
        let client = try scene.ask(isStream: false, idempotencyKey: "k")
        let call = try scene.provider.call()
        client.leave()
        call.answer("500 Oh", #"{"error":{"message":"no"}}"#)
        #expect(try scene.caller.settledRow().status == "voided")
        let second = try scene.ask(isStream: false, idempotencyKey: "k")
        try scene.provider.call().answer("500 Oh", #"{"error":{"message":"no"}}"#)
        #expect(second.readsToEnd() && second.status == 502)
    }

    @Test func `what is too large to be kept is not read on for nobody`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_KEPT_ANSWER_BYTES_MAX": "1024"])
        let scene = try StreamingScene("left-large", at: gateway)
        let client = try scene.ask(idempotencyKey: "k")
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        client.leave()
        let isLeft = Eventually.holds {
            call.piece(String(repeating: "x", count: 200))
            return call.isLeft(milliseconds: 50)
        }
        #expect(isLeft)
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.interruptedBy == "client")
        #expect(try code(again(scene)) == "idempotency_key_interrupted")
    }
}
