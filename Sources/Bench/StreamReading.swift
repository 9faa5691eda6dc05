import Dialects
import Threads

/// What has come of one streamed answer, and whether it is as the simulated provider sends it: `tok1 `, `tok2 `, … in order,
/// then `[DONE]`, then the end of the connection.
///
/// The answer must not be chunked, which HTTP/1.0 sees to.
struct StreamReading {
    /// What is wrong with an answer.
    enum Failure: Error, Equatable, CustomStringConvertible {
        /// The status is not 200.
        case status(Int)
        /// An event came with another number than the next one.
        case order(expected: Int, found: Int)
        /// The connection ended after so many events, or after too few of them and a `[DONE]`.
        case cut(after: Int)
        /// Something that is no event stream.
        case malformed

        var description: String {
            switch self {
            case .status(let status): "status \(status)"
            case .order(let expected, let found): "event \(found) came where \(expected) belongs"
            case .cut(let count): "cut after \(count) events"
            case .malformed: "not an event stream"
            }
        }
    }

    /// Events with content.
    private(set) var events = 0
    private(set) var firstEvent: Deadline?
    private(set) var longestGapNanoseconds: Int64 = 0
    private var lastEvent: Deadline?
    private var isDone = false
    /// The head, until it is complete.
    private var head: [UInt8]? = []
    private var parser = EventStreamParser(eventBytesMax: 64 * 1_024)
    private static let headBytesMax = 16 * 1_024

    /// Takes bytes of the connection that came at a moment.
    mutating func append(_ bytes: ArraySlice<UInt8>, at moment: Deadline) throws(Failure) {
        guard var head else { return try appendBody(bytes, at: moment) }
        head += bytes
        let blank = Array("\r\n\r\n".utf8)
        guard let end = head.indices.first(where: { head[$0...].starts(with: blank) }) else {
            guard head.count <= Self.headBytesMax else { throw .malformed }
            self.head = head
            return
        }
        let words = String(decoding: head.prefix { $0 != UInt8(ascii: "\r") }, as: UTF8.self).split(
            separator: " ")
        guard words.count > 1, let status = Int(words[1]) else { throw .malformed }
        guard status == 200 else { throw .status(status) }
        self.head = nil
        try appendBody(head[(end + blank.count)...], at: moment)
    }

    /// Says that the connection has ended; an error unless the answer was complete.
    ///
    /// - Parameter expected: How many events there should be; nil for any number.
    func finish(expected: Int?) throws(Failure) {
        guard isDone, events > 0, expected == nil || events == expected else { throw .cut(after: events) }
    }

    private mutating func appendBody(_ bytes: ArraySlice<UInt8>, at moment: Deadline) throws(Failure) {
        bytes.withUnsafeBytes { parser.append($0) }
        while let event = try nextEvent() {
            switch parser.withData(of: event, Self.content) {
            case .number(let number): try count(number, at: moment)
            case .done: isDone = true
            case .other: break
            }
        }
    }

    private mutating func nextEvent() throws(Failure) -> EventStreamEvent? {
        do throws(EventStreamError) { return try parser.next() } catch { throw .malformed }
    }

    private mutating func count(_ number: Int, at moment: Deadline) throws(Failure) {
        guard number == events + 1 else { throw .order(expected: events + 1, found: number) }
        events = number
        if firstEvent == nil { firstEvent = moment }
        if let lastEvent {
            longestGapNanoseconds = max(longestGapNanoseconds, moment.nanoseconds - lastEvent.nanoseconds)
        }
        lastEvent = moment
    }

    private enum Content {
        case number(Int)
        case done
        case other
    }

    private static let mark = Array(#""content":"tok"#.utf8)
    private static let done = Array("[DONE]".utf8)

    /// What an event says.
    ///
    /// It is looked for and not parsed: thousands of streams are read on one thread.
    private static func content(_ data: UnsafeRawBufferPointer) -> Content {
        if data.elementsEqual(done) { return .done }
        var start = 0
        while start + mark.count < data.count {
            if data[start] == mark[0], data[start..<start + mark.count].elementsEqual(mark) {
                let digits = data[(start + mark.count)...].prefix { (0x30...0x39).contains($0) }
                return digits.count < 10 ? .number(digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }) : .other
            }
            start += 1
        }
        return .other
    }
}
