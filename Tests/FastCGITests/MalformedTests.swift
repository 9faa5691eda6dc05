import FastCGI
import Glibc
import TestTools
import Testing

@Suite struct MalformedTests {
    private static let parameters = Records.stream(4, Records.pairs([("A", "B")]))

    static let samples: [[UInt8]] = [
        Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
        [UInt8](repeating: 0, count: 64),
        [UInt8](repeating: 255, count: 64),
        // Another version, role, or length of the first record.
        [2] + Records.begin(keepsConnection: true).dropFirst() + parameters,
        Records.begin(keepsConnection: true, role: 2) + parameters,
        Records.begin(keepsConnection: true, role: 9) + parameters,
        Records.record(1, [0, 1, 1]) + parameters,
        Records.record(1, [0, 1, 1, 0, 0, 0, 0, 0], padding: 8) + parameters,
        Records.record(1, [0, 1, 1, 0, 0, 0, 0, 0], id: 0) + parameters,
        // Records out of order, or of another request.
        parameters,
        Records.begin(keepsConnection: true) + Records.stream(5, [1, 2, 3]),
        Records.begin(keepsConnection: true) + Records.begin(keepsConnection: true),
        Records.begin(keepsConnection: true) + Records.record(2, []),
        Records.begin(keepsConnection: true) + Records.record(4, [1, 1, 65, 66], id: 7),
        // Lengths that lie: libfcgi would reserve up to 4 GB for them.
        Records.begin(keepsConnection: true)
            + Records.stream(4, [0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe]),
        Records.begin(keepsConnection: true) + Records.stream(4, [0xbf, 0xff, 0xff, 0xff, 0, 65]),
        Records.begin(keepsConnection: true) + Records.stream(4, [5, 5, 65]),
        Records.begin(keepsConnection: true) + Records.stream(4, [5]),
        Records.begin(keepsConnection: true) + Records.stream(4, [0x80, 0, 0]),
        // A management record that makes libfcgi overrun its buffer.
        Records.record(
            9, Records.pairs((0..<40).map { _ in ("FCGI_MPXS_CONNS", "") }), id: 0),
        // More parameters than are allowed.
        Records.begin(keepsConnection: true)
            + Records.stream(4, Records.pairs([("A", String(repeating: "x", count: 140_000))])),
    ]

    @Test func `malformed records close their connection and nothing else`() throws {
        let responder = try TestResponder(handler: echo)
        for (index, sample) in Self.samples.enumerated() {
            let client = try responder.connect()
            client.send(sample)
            #expect(client.isClosedByResponder(), "sample \(index)")
        }
        #expect(responder.becomesQuiet())
        #expect(responder.pool.statistics.connections == 0)
        #expect(responder.pool.statistics.served == 0)
        let client = try responder.connect()
        client.send(Records.request(body: Array("still here".utf8)))
        #expect(client.answer()?.hasSuffix("still here") == true)
    }

    @Test func `malformed records in place of a body close their connection and nothing else`() throws {
        let responder = try TestResponder(handler: echo)
        let beginning =
            Records.begin(keepsConnection: true) + Records.stream(4, Records.pairs([("CONTENT_LENGTH", "3")]))
        let values = Records.pairs((0..<40).map { _ in ("FCGI_MPXS_CONNS", "") })
        let samples = [
            Records.record(9, values, id: 0, padding: 8), Records.begin(keepsConnection: true),
            Records.record(4, [1, 1, 65, 66]), Records.record(5, [1, 2, 3], id: 2), Records.record(2, []),
            Records.record(77, []), [UInt8](repeating: 255, count: 16),
        ]
        for (index, sample) in samples.enumerated() {
            let client = try responder.connect()
            client.send(beginning + sample + Records.stream(5, [1, 2, 3]))
            #expect(client.answer()?.hasSuffix("clientGone") == true, "sample \(index)")
            #expect(client.isClosedByResponder(), "sample \(index)")
        }
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
    }

    @Test func `padding after any record is skipped`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        for _ in 0..<50 {
            client.send(
                Records.begin(keepsConnection: true)
                    + Records.record(4, Records.pairs([("CONTENT_LENGTH", "4")]), padding: 3)
                    + Records.record(
                        4, Records.pairs([("A", String(repeating: "x", count: 7_700))]), padding: 9)
                    + Records.record(4, [], padding: 200) + Records.record(5, [65, 66], padding: 255)
                    + Records.record(5, [67], padding: 1) + Records.record(5, [68]) + Records.record(5, []))
            #expect(client.answer()?.hasSuffix("ABCD") == true)
        }
    }

    @Test func `a connection that ends in the middle of a request is forgotten`() throws {
        let responder = try TestResponder(handler: echo)
        let request = Records.request(body: Array("hello".utf8))
        for cut in stride(from: 0, to: request.count - 25, by: 7) {
            let client = try responder.connect()
            client.send(Array(request[..<cut]))
            client.close()
        }
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 && responder.becomesQuiet() })
    }

    @Test func `a request that never becomes complete is given up at the deadline`() throws {
        var limits = ResponderLimits.small
        limits.readTimeoutSeconds = 1
        let responder = try TestResponder(limits: limits, handler: echo)
        let client = try responder.connect()
        client.send(Records.begin(keepsConnection: true))
        #expect(client.isClosedByResponder())
        #expect(responder.pool.statistics.served == 0)
    }

    @Test func `random bytes after a sound beginning do no harm`() throws {
        var limits = ResponderLimits.small
        limits.readTimeoutSeconds = 1
        let responder = try TestResponder(limits: limits, handler: echo)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<60 {
            let client = try responder.connect()
            var bytes = Records.request([("A", "B")], body: [UInt8](repeating: 7, count: 40))
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255)
            }
            client.send(bytes)
            client.halfClose()
            _ = client.answer()
        }
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
        let client = try responder.connect()
        client.send(Records.request(body: Array("still here".utf8)))
        #expect(client.answer()?.hasSuffix("still here") == true)
    }
}
