import Testing
import Threads

@testable import Bench

/// Whether a streamed answer came whole and in order.
@Suite struct StreamReadingTests {
    private static let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    private static let role = #"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"# + "\n\n"

    private func event(_ number: Int) -> String {
        #"data: {"choices":[{"index":0,"delta":{"content":"tok\#(number) "}}]}"# + "\n\n"
    }

    private func read(_ text: String, splitAt offset: Int = 0) throws -> StreamReading {
        let bytes = Array(text.utf8)
        var reading = StreamReading()
        try reading.append(bytes[..<offset], at: Deadline(nanoseconds: 1_000))
        try reading.append(bytes[offset...], at: Deadline(nanoseconds: 5_000))
        return reading
    }

    @Test func `a whole answer is whole wherever it was split`() throws {
        let text =
            Self.head + Self.role + event(1) + ": still here\n\n" + event(2) + event(3) + "data: [DONE]\n\n"
        for offset in 0...text.utf8.count {
            let reading = try read(text, splitAt: offset)
            #expect(reading.events == 3)
            try reading.finish(expected: 3)
            try reading.finish(expected: nil)
            #expect(throws: StreamReading.Failure.cut(after: 3)) { try reading.finish(expected: 4) }
        }
    }

    @Test func `the moment of the first event and the longest silence are noted`() throws {
        let first = Self.head + Self.role + event(1)
        let reading = try read(first + event(2), splitAt: first.utf8.count)
        #expect(reading.firstEvent == Deadline(nanoseconds: 1_000))
        #expect(reading.longestGapNanoseconds == 4_000)
    }

    @Test func `an event in the wrong place, twice or left out is an error`() {
        for (numbers, failure) in [
            ([1, 3], StreamReading.Failure.order(expected: 2, found: 3)),
            ([1, 1], .order(expected: 2, found: 1)), ([2], .order(expected: 1, found: 2)),
        ] {
            #expect(throws: failure) { try read(Self.head + numbers.map { event($0) }.joined()) }
        }
    }

    @Test func `an answer without its end is cut, even when it has all events`() throws {
        let reading = try read(Self.head + event(1) + event(2))
        #expect(throws: StreamReading.Failure.cut(after: 2)) { try reading.finish(expected: 2) }
        let empty = try read(Self.head + "data: [DONE]\n\n")
        #expect(throws: StreamReading.Failure.cut(after: 0)) { try empty.finish(expected: nil) }
    }

    @Test func `an error answer is told by its status, and noise is told apart`() {
        #expect(throws: StreamReading.Failure.status(503)) {
            try read("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{}")
        }
        #expect(throws: StreamReading.Failure.malformed) { try read("nonsense\r\n\r\n") }
        #expect(throws: StreamReading.Failure.malformed) { try read(String(repeating: "x", count: 20_000)) }
    }
}
