import Core
import Ledger
import Quota
import TestSupport
import TestTools
import Testing

/// Streams that hold their first tokens and more as they flow.
@Suite struct StreamingMoneyTests {
    /// A gateway whose streams hold four tokens at first, so that short answers show it.
    private static let gateway = Result {
        try TestGateway(environment: ["TOLLGATE_HOLD_STREAM_INITIAL_TOKENS": "4"])
    }

    private static let members = #""stream":true,"max_tokens":64"#

    private func scene(_ label: String, balance: Int64? = nil) throws -> StreamingScene {
        let amount = balance.map { Money(nanodollars: $0) } ?? Money(nanodollars: 10_000_000_000)
        return try StreamingScene(label, at: try Self.gateway.get(), balance: amount.description)
    }

    /// What so many tokens hold: every byte of the body may be a token of the prompt.
    private func hold(_ scene: StreamingScene, _ tokens: Int64, _ members: String = members) -> Int64 {
        Int64(EndpointsCaller.body(scene.model, members).utf8.count) * 10_000 + tokens * 30_000
    }

    private func held(_ scene: StreamingScene) throws -> Int64 {
        let books = try scene.gateway.stores.books(scene.caller.tenant)
        #expect(books.image?.held == books.ledger.held)
        return books.ledger.held.nanodollars
    }

    @Test func `a stream holds its first tokens, and twice as many whenever those are used`() throws {
        let scene = try scene("extends")
        let client = try scene.ask(#""max_tokens":64"#)
        let call = try scene.provider.call()
        #expect(call.request.contains(#""max_tokens":64"#), "the provider may use the whole cap")
        call.begin()
        var sent: Int64 = 0
        for (pieces, tokens) in [(Int64(4), Int64(4)), (5, 8), (8, 8), (9, 16), (17, 32), (33, 64), (60, 64)]
        {
            while sent < pieces {
                sent += 1
                call.piece("p\(sent).")
            }
            #expect(client.waits(for: "p\(sent)."))
            #expect(try held(scene) == hold(scene, tokens))
        }
        call.stop()
        call.usage(prompt: 10, completion: 60)
        call.end()
        #expect(client.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.usageSource == "provider")
        #expect(row.hold.nanodollars == hold(scene, 64))
        try scene.caller.expectBooks(charged: Money(nanodollars: 10 * 10_000 + 60 * 30_000))
    }

    @Test(arguments: [false, true])
    func `without money for more a stream ends as if its output cap were reached`(_ showsUsage: Bool) throws {
        let members = Self.members + (showsUsage ? #","stream_options":{"include_usage":true}"# : "")
        // The name of the model has as many bytes whatever its port.
        let probe = try scene("ends")
        let balance = hold(probe, 7, members)
        let scene = try scene("ends", balance: balance)
        let client = try scene.ask(String(members.dropFirst(#""stream":true,"#.count)))
        let call = try scene.provider.call()
        call.begin()
        for index in 1...7 { call.piece("p\(index).") }
        #expect(client.waits(for: "p7."))
        #expect(try held(scene) == balance)
        call.piece("p8.")
        #expect(client.readsToEnd())
        #expect(call.isLeft(milliseconds: 2_000), "the provider goes on for nobody")
        #expect(!client.body.contains("p8."))
        let events = client.events
        #expect(events.last == "[DONE]")
        let end = events[events.count - (showsUsage ? 3 : 2)]
        #expect(end.contains(#""finish_reason":"length""#) && end.contains(#""id":"chatcmpl-1""#))
        #expect(events.count { $0.contains(#""completion_tokens":7"#) } == (showsUsage ? 1 : 0))
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.usageSource == "observed")
        #expect(row.interruptedBy == "money" && !row.isError && !row.streamCompleted)
        #expect(row.usage == Usage(input: EndpointsCaller.estimatedInput, output: 7))
        try scene.caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 7)))
    }

    @Test func `a credit lets a stream go on that would have ended`() throws {
        let probe = try scene("credited")
        let scene = try scene("credited", balance: hold(probe, 5))
        let client = try scene.ask(#""max_tokens":64"#)
        let call = try scene.provider.call()
        call.begin()
        for index in 1...5 { call.piece("p\(index).") }
        #expect(client.waits(for: "p5."))
        try scene.gateway.stores.addCredit(
            Money(nanodollars: 10_000_000), to: scene.caller.tenant, externalID: "more")
        for index in 6...12 { call.piece("p\(index).") }
        #expect(client.waits(for: "p12."))
        call.stop()
        call.usage(prompt: 10, completion: 12)
        call.end()
        #expect(client.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.streamCompleted && row.charge.nanodollars == 10 * 10_000 + 12 * 30_000)
    }

    @Test(arguments: [true, false])
    func `a cost beyond the hold is paid from the balance, and beyond that by the house`(_ isStream: Bool)
        throws
    {
        let scene = try scene("beyond", balance: 20_000_000)
        for (completion, charge) in [(Int64(200), Int64(6_040_000)), (1_000, 13_960_000)] {
            let client = try scene.ask(isStream: isStream, #""max_tokens":10"#)
            let call = try scene.provider.call()
            if isStream {
                call.begin()
                call.piece("one")
                call.stop()
                call.usage(prompt: 4, completion: Int(completion))
                call.end()
            } else {
                call.answer(
                    "200 OK",
                    #"{"choices":[{"index":0,"message":{"content":"one"},"finish_reason":"stop"}],"#
                        + #""usage":{"prompt_tokens":4,"completion_tokens":\#(completion),"total_tokens":\#(completion + 4)}}"#
                )
            }
            #expect(client.readsToEnd())
            #expect(client.status == 200)
            let isSettled = try Eventually.holds {
                try scene.gateway.stores.books(scene.caller.tenant).ledger.pending == 0
            }
            #expect(isSettled)
            let row = try #require(try scene.caller.rows().first)
            #expect(row.usage.output == completion)
            #expect(row.charge.nanodollars == charge && row.hold.nanodollars == charge)
            try scene.gateway.stores.expectExactBooks(scene.caller.tenant)
        }
        #expect(try scene.gateway.stores.books(scene.caller.tenant).image?.balance == .zero)
    }
}
