import FastCGI
import Glibc
import TestTools
import Testing

@Suite struct RequestTests {
    @Test func `a request cut at any byte is read as one`() throws {
        let responder = try TestResponder { exchange in
            let path = exchange.parameter("PATH") ?? "none"
            let long = exchange.parameter("LONG")?.utf8.count ?? 0
            let body = (try? exchange.readBody(bytesMax: 100)) ?? []
            answer(exchange, "200 OK", "\(path) \(long) \(String(decoding: body, as: UTF8.self))")
        }
        let client = try responder.connect()
        let request = Records.request(
            [("PATH", "/v1"), ("LONG", String(repeating: "x", count: 200))], body: Array("hello".utf8))
        for cut in 1..<request.count {
            client.send(Array(request[..<cut]))
            usleep(200)
            client.send(Array(request[cut...]))
            let answer = try #require(client.answer(), "cut at \(cut)")
            #expect(answer.hasSuffix("/v1 200 hello"), "cut at \(cut)")
        }
    }

    @Test func `parameters may come in records of one byte`() throws {
        let responder = try TestResponder { exchange in
            answer(exchange, "200 OK", exchange.parameter("LONG") ?? "none")
        }
        let client = try responder.connect()
        let value = String(repeating: "v", count: 300)
        let parameters = Records.stream(4, Records.pairs([("A", ""), ("LONG", value)]), recordBytes: 1)
        client.send(Records.begin(keepsConnection: true) + parameters + Records.stream(5, []))
        #expect(client.answer()?.hasSuffix("\r\n\r\n" + value) == true)
    }

    @Test func `parameters may be long, and the next request is read all the same`() throws {
        let responder = try TestResponder { exchange in
            let body = (try? exchange.readBody(bytesMax: 20_000)) ?? []
            answer(exchange, "200 OK", "\(exchange.parameter("LONG")?.utf8.count ?? 0) \(body.count)")
        }
        let client = try responder.connect()
        for (length, body) in [(100_000, 20_000), (1, 0), (8_100, 1), (8_192, 20_000), (20_000, 1)] {
            client.send(
                Records.request(
                    [("LONG", String(repeating: "x", count: length))],
                    body: [UInt8](repeating: 1, count: body)))
            #expect(client.answer()?.hasSuffix("\r\n\r\n\(length) \(body)") == true)
        }
    }

    @Test func `a body of five megabytes arrives and returns unchanged`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        let body = (0..<5_000_000).map { UInt8(32 + $0 * 31 % 95) }
        client.send(Records.request(body: body))
        let answer = try #require(client.answer())
        let isUnchanged = Array(answer.utf8.suffix(body.count)) == body
        #expect(isUnchanged)
    }

    @Test func `a body shorter than announced is an error and not a request`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request(body: Array("hello".utf8), announced: "6"))
        #expect(client.answer()?.hasSuffix("bodyTruncated") == true)
    }

    @Test func `a body longer than announced is an error`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request(body: Array("hello".utf8), announced: "4"))
        #expect(client.answer()?.hasSuffix("bodyTruncated") == true)
        client.send(Records.request(body: Array("again".utf8)))
        #expect(client.answer()?.hasSuffix("again") == true)
    }

    @Test(arguments: ["-1", "1e3", "0x10", " 5", "99999999999999999999"])
    func `a length that is not a number is an error`(announced: String) throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request(body: Array("hello".utf8), announced: announced))
        #expect(client.answer()?.hasSuffix("invalidContentLength") == true)
    }

    @Test func `a body that is too large is refused and the connection goes on`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request(body: [UInt8](repeating: 1, count: 9 * 1_024 * 1_024)))
        #expect(client.answer()?.hasSuffix("bodyTooLarge") == true)
        client.send(Records.request(body: Array("small".utf8)))
        #expect(client.answer()?.hasSuffix("small") == true)
    }

    @Test func `a body that does not come in time is an error`() throws {
        var limits = ResponderLimits.small
        limits.readTimeoutSeconds = 1
        let responder = try TestResponder(limits: limits, handler: echo)
        let client = try responder.connect()
        let request = Records.request(body: Array("hello".utf8))
        client.send(Array(request.dropLast(9)))
        #expect(client.answer()?.hasSuffix("bodyTimedOut") == true)
    }

    @Test func `a missing body is empty`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request())
        #expect(client.answer()?.hasSuffix("\r\n\r\n") == true)
    }

    @Test func `a header that was sent twice is seen twice`() throws {
        let responder = try TestResponder { exchange in
            answer(exchange, "200 OK", exchange.parameters("HTTP_X_API_KEY").joined(separator: "+"))
        }
        let client = try responder.connect()
        client.send(
            Records.request([("HTTP_X_API_KEY", "a"), ("HTTP_X_API_KEY_2", "c"), ("HTTP_X_API_KEY", "b")]))
        #expect(client.answer()?.hasSuffix("a+b") == true)
    }

    @Test func `an answer of many buffers arrives whole`() throws {
        let responder = try TestResponder { exchange in
            answer(exchange, "200 OK", "")
            for _ in 0..<1_000 { exchange.write(ArraySlice(repeating: UInt8(ascii: "x"), count: 999)) }
            answer(exchange, "end", "\(exchange.bytesWritten)")
        }
        let client = try responder.connect()
        client.send(Records.request(keepsConnection: false))
        let text = try #require(client.answer())
        #expect(text.hasSuffix("\r\n\r\n999044"))
        #expect(client.isClosedByResponder())
    }

    @Test func `a flush sends what was written at once`() throws {
        let gate = Gate()
        let responder = try TestResponder { exchange in
            exchange.write("Status: 200 OK\r\n\r\nfirst")
            try? exchange.flush()  // The client is this test.
            gate.pass()
        }
        let client = try responder.connect()
        client.send(Records.request())
        let record = try #require(client.receive(8 + 23 + 1))
        #expect(String(decoding: record[8..<31], as: UTF8.self).hasSuffix("first"))
        gate.open()
        #expect(client.answer() == "")
    }
}
