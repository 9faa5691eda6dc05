import Dialects
import Testing

@Suite struct EventStreamTests {
    private struct Seen: Equatable, CustomStringConvertible {
        let type: String
        let data: String
        let wire: String

        var description: String {
            "(\(type.debugDescription) \(data.debugDescription) \(wire.debugDescription))"
        }
    }

    private func events(_ chunks: [[UInt8]], finishes: Bool = true) throws -> [Seen] {
        var parser = EventStreamParser()
        var seen: [Seen] = []
        func drain() throws {
            while let event = try parser.next() {
                var wire: [UInt8] = []
                parser.appendWire(of: event, to: &wire)
                seen.append(
                    Seen(
                        type: parser.type(of: event), data: parser.withData(of: event) { text($0) },
                        wire: text(wire)))
            }
        }
        for chunk in chunks {
            chunk.withUnsafeBytes { parser.append($0) }
            try drain()
        }
        if finishes { parser.finish() }
        try drain()
        return seen
    }

    /// What is on the wire, and the (type, data, forwarded) of each event.
    private static let streams: [(String, [(String, String, String)])] = [
        ("data: a\n\ndata: b\n\n", [("", "a", "data: a\n\n"), ("", "b", "data: b\n\n")]),
        ("data:a\n\ndata:  b \n\n", [("", "a", "data:a\n\n"), ("", " b ", "data:  b \n\n")]),
        ("event: x\ndata: {}\n\n", [("x", "{}", "event: x\ndata: {}\n\n")]),
        ("data: {}\nevent: x\n\n", [("x", "{}", "data: {}\nevent: x\n\n")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", [("", "a", "data: a\n\n"), ("", "b", "data: b\n\n")]),
        ("data: a\r\rdata: b\r\r", [("", "a", "data: a\n\n"), ("", "b", "data: b\n\n")]),
        (
            "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n",
            [
                ("", "a", "data: a\n\n"), ("", "b", "data: b\n\n"), ("", "c", "data: c\n\n"),
            ]
        ),
        (
            "data: a\ndata: b\ndata:\ndata: c\n\n",
            [
                ("", "a\nb\n\nc", "data: a\ndata: b\ndata:\ndata: c\n\n")
            ]
        ),
        ("data: a\r\ndata: b\r\n\r\n", [("", "a\nb", "data: a\ndata: b\n\n")]),
        (": hello\n\n:\n\n: again\ndata: a\n\n", [("", "a", "data: a\n\n")]),
        ("data: a\n: inside\n\n", [("", "a", "data: a\n\n")]),
        (
            "id: 7\ndata: a\n\nretry: 5\nevent: e\ndata: b\n\n",
            [
                ("", "a", "data: a\n\n"), ("e", "b", "event: e\ndata: b\n\n"),
            ]
        ),
        ("whatever\nother: x\ndata: a\n\n", [("", "a", "data: a\n\n")]),
        ("\u{FEFF}data: a\n\n", [("", "a", "data: a\n\n")]),
        ("event: nothing\n\ndata:\n\ndata\n\ndata: a\n\n", [("", "a", "data: a\n\n")]),
        ("\n\n\r\n\rdata: a\n\n", [("", "a", "data: a\n\n")]),
        ("data: a", [("", "a", "data: a\n\n")]),
        ("data: a\n", [("", "a", "data: a\n\n")]),
        ("data: a\r\n\r\ndata: b\r", [("", "a", "data: a\n\n"), ("", "b", "data: b\n\n")]),
        (
            "data: é😀\u{2028}\n\ndata: [DONE]\n\n",
            [
                ("", "é😀\u{2028}", "data: é😀\u{2028}\n\n"), ("", "[DONE]", "data: [DONE]\n\n"),
            ]
        ),
        ("event: e\nid: 1\ndata: x\ndata: y\n\n", [("e", "x\ny", "event: e\ndata: x\ndata: y\n\n")]),
    ]

    @Test(arguments: streams) func `events are the same wherever the stream was split`(
        _ wire: String, _ expected: [(String, String, String)]
    ) throws {
        let bytes = Array(wire.utf8)
        let wanted = expected.map { Seen(type: $0.0, data: $0.1, wire: $0.2) }
        #expect(try events([bytes]) == wanted)
        #expect(try events(bytes.map { [$0] }) == wanted)
        for first in 0...bytes.count {
            #expect(try events([Array(bytes[..<first]), Array(bytes[first...])]) == wanted)
            for second in first...bytes.count {
                let chunks = [bytes[..<first], bytes[first..<second], bytes[second...]].map { Array($0) }
                #expect(try events(chunks) == wanted)
            }
        }
    }

    @Test func `a cut stream does not deliver its last piece`() throws {
        #expect(try events([Array("data: a\n\ndata: {\"x\":".utf8)], finishes: false).map(\.data) == ["a"])
    }

    @Test(arguments: ["data: a\n\n", "data: a\r\n\r\n", "data: a\r\r"])
    func `an event is delivered as soon as its blank line is there`(_ wire: String) throws {
        #expect(try events([Array(wire.utf8)], finishes: false).map(\.data) == ["a"])
    }

    @Test func `an event beyond the limit is an error, also when it never ends`() throws {
        for wire in [
            "data: " + String(repeating: "x", count: 200) + "\n\n", String(repeating: "x", count: 101),
        ] {
            var parser = EventStreamParser(eventBytesMax: 100)
            Array(wire.utf8).withUnsafeBytes { parser.append($0) }
            #expect(throws: EventStreamError.eventTooLarge(bytesMax: 100)) { try parser.next() }
            #expect(throws: EventStreamError.eventTooLarge(bytesMax: 100)) { try parser.next() }
        }
    }

    @Test func `many small lines of one event are bounded too`() throws {
        var parser = EventStreamParser(eventBytesMax: 100)
        #expect(throws: EventStreamError.self) {
            for _ in 0..<20 {
                Array("data: x\n".utf8).withUnsafeBytes { parser.append($0) }
                _ = try parser.next()
            }
        }
    }

    @Test func `an event of exactly the limit passes`() throws {
        var parser = EventStreamParser(eventBytesMax: 9)
        Array("data: a\n\ndata: b\n\n".utf8).withUnsafeBytes { parser.append($0) }
        #expect(try parser.next() != nil)
        #expect(try parser.next() != nil)
        #expect(try parser.next() == nil)
    }

    @Test func `a flood of comments passes through a small limit`() throws {
        var parser = EventStreamParser(eventBytesMax: 100)
        for _ in 0..<10_000 {
            Array(": still here\n".utf8).withUnsafeBytes { parser.append($0) }
            #expect(try parser.next() == nil)
        }
        Array("data: a\n\n".utf8).withUnsafeBytes { parser.append($0) }
        let event = try #require(try parser.next())
        #expect(parser.withData(of: event) { text($0) } == "a")
    }
}
