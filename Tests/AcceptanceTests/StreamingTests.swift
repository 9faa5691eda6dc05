import Core
import Gateway
import Ledger
import Postgres
import TestSupport
import Testing
import Threads

/// What a client sees of a stream, and when.
@Suite struct StreamingTests {
    @Test func `each event reaches the client before the provider sends the next`() throws {
        let scene = try StreamingScene("paced")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        for number in 1...5 {
            call.piece("piece\(number)")
            #expect(client.waits(for: "\"piece\(number)\""))
        }
        call.stop()
        call.usage(prompt: 4, completion: 5)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        #expect(client.header("content-type") == "text/event-stream; charset=utf-8")
        #expect(client.header("cache-control") == "no-cache")
        #expect(client.events.count == 7)
        #expect(client.events.last == "[DONE]")
        let row = try scene.caller.settledRow()
        #expect(client.header("x-request-id") == row.trace)
        #expect(row.charge.nanodollars == 4 * 10_000 + 5 * 30_000)
        #expect(row.usageSource == "provider")
        #expect(row.streamCompleted)
    }

    @Test func `DONE is withheld until the charge is committed`() throws {
        let scene = try StreamingScene("commit")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        let pending = try scene.caller.onlyRow()
        #expect(pending.status == "pending")
        // Nobody can settle the row while it is locked.
        let lock = try scene.gateway.stores.money.database.begin()
        _ = try lock.query(
            Statement(
                name: "lock_row", sql: "SELECT 1 FROM billing_transactions WHERE trace_id = $1 FOR UPDATE"),
            [.text(pending.trace)])
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end()
        #expect(client.waits(for: #""finish_reason":"stop""#))
        #expect(!client.waits(for: "[DONE]", milliseconds: 300))
        #expect(try scene.caller.onlyRow().status == "pending")
        lock.rollBack()
        #expect(client.waits(for: "data: [DONE]\n\n"))
        #expect(try scene.caller.onlyRow().status == "committed")
    }

    @Test func `a plain answer is withheld until the charge is committed`() throws {
        let scene = try StreamingScene("plain-commit")
        let client = try scene.ask(isStream: false)
        let call = try scene.provider.call()
        let pending = try scene.caller.onlyRow()
        let lock = try scene.gateway.stores.money.database.begin()
        _ = try lock.query(
            Statement(
                name: "lock_row", sql: "SELECT 1 FROM billing_transactions WHERE trace_id = $1 FOR UPDATE"),
            [.text(pending.trace)])
        let body =
            #"{"choices":[{"index":0,"message":{"content":"Hi"}}],"usage":{"prompt_tokens":4,"completion_tokens":1}}"#
        call.answer("200 OK", body)
        #expect(!client.waits(for: "HTTP", milliseconds: 300))
        lock.rollBack()
        #expect(client.readsToEnd())
        #expect(client.body == body)
        #expect(client.header("x-tollgate-cost") == "0.000070000")
        #expect(try scene.caller.onlyRow().status == "committed")
    }

    @Test func `a silent provider's client gets comments that keep its connection alive`() throws {
        let scene = try StreamingScene("silent")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        #expect(client.waits(for: ": keep-alive\n\n: keep-alive\n\n"))
        call.piece("two")
        call.stop()
        call.usage(prompt: 4, completion: 2)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.comments >= 2)
        #expect(client.events.count == 4)
        #expect(client.events.last == "[DONE]")
        #expect(try scene.caller.settledRow().charge.nanodollars == 4 * 10_000 + 2 * 30_000)
    }

    @Test(arguments: ["", #""stream_options":{"include_usage":false}"#, #""stream_options":{}"#])
    func `the provider is asked for the usage, and a client that did not ask never sees it`(
        _ members: String
    ) throws {
        let scene = try StreamingScene("usage")
        let client = try scene.ask(members)
        let call = try scene.provider.call()
        #expect(call.request.contains(#""include_usage":true"#))
        #expect(call.request.contains(#""max_tokens":4096"#))
        #expect(call.request.contains(#""model":"upstream-name""#))
        #expect(call.request.lowercased().contains("\r\nauthorization: bearer provider-secret\r\n"))
        call.begin()
        call.piece("one")
        call.stop()
        call.usage(prompt: 900, completion: 800)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.events.count == 3)
        #expect(!client.text.contains("usage"))
        let row = try scene.caller.settledRow()
        #expect(row.usage == Usage(input: 900, output: 800))
        #expect(row.charge.nanodollars == 900 * 10_000 + 800 * 30_000)
    }

    @Test func `a client that asked for the usage sees the provider's own chunk`() throws {
        let scene = try StreamingScene("usage-shown")
        let client = try scene.ask(#""stream_options":{"include_usage":true}"#)
        let call = try scene.provider.call()
        call.begin()
        call.stop()
        call.usage(prompt: 900, completion: 800)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.events.count == 3)
        #expect(client.events.dropFirst().first?.contains(#""completion_tokens":800"#) == true)
        #expect(client.events.last == "[DONE]")
    }

    @Test func `events in any wire form arrive as plain data events`() throws {
        let scene = try StreamingScene("wire")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        let event = #"{"choices":[{"index":0,"delta":{"content":"naïve 🙂"}}]}"#
        // A comment, an id, lines ended by CRLF, and a character cut in two.
        call.frame(": ping\r\nid: 7\r\nretry: 1\r\n")
        let bytes = Array("data: \(event)\r\n\r\n".utf8)
        for byte in bytes { call.frame(byte) }
        call.frame("data: {\"choices\":\ndata: []}\n\n")
        call.stop()
        call.usage(prompt: 1, completion: 1)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.events.first == event)
        #expect(!client.body.contains("id:") && !client.body.contains("retry:"))
        #expect(!client.body.contains("ping") && !client.body.contains("\r"))
        #expect(client.body.contains("data: {\"choices\":\ndata: []}\n\n"))
        #expect(client.events.last == "[DONE]")
    }

    @Test func `a stream that says why it ended is complete without DONE`() throws {
        let scene = try StreamingScene("undone")
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end(isDone: false)
        #expect(client.readsToEnd())
        #expect(client.events.last == "[DONE]")
        let row = try scene.caller.settledRow()
        #expect(row.streamCompleted)
        #expect(row.charge.nanodollars == 4 * 10_000 + 30_000)
    }
}
