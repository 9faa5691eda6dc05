/// A server-sent event that has arrived completely.
///
/// It only names places in its parser's buffers, and is void after the parser's next `append` or `next`.
package struct EventStreamEvent: Sendable, Equatable {
    /// The event's bytes in the parser's buffer, the blank line included.
    let raw: Range<Int>
    /// The data, in the buffer or, when there were several `data` lines, among the joined lines.
    let data: Range<Int>
    let type: Range<Int>
    let isJoined: Bool
    let isPlain: Bool
}

/// An event stream that cannot be read on.
package enum EventStreamError: Error, Equatable {
    /// One event has more bytes than the limit.
    case eventTooLarge(bytesMax: Int)
}

/// Cuts a byte stream into server-sent events, however the stream was split on its way.
///
/// Bytes are pushed with `append`; events are pulled with `next` until it returns nil. Memory stays within the largest event
/// plus one appended chunk, and is reused from event to event. Comments, and events without data, are swallowed.
package struct EventStreamParser: Sendable {
    /// What is known of the event that is being gathered.
    private struct Draft {
        var data: Range<Int>?
        var isJoined = false
        var type = 0..<0
        /// Nothing but `data` and `event` lines, ended by line feeds.
        var isPlain = true
    }

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let keptCapacityBytes = 64 * 1024

    private let eventBytesMax: Int
    private var buffer: [UInt8] = []
    private var joined: [UInt8] = []
    /// The first byte that belongs to no earlier event.
    private var eventStart = 0
    private var lineStart = 0
    /// Between `lineStart` and here is no line end.
    private var searched = 0
    private var draft = Draft()
    private var isAtStart = true
    private var isFinished = false
    private var endedWithLoneReturn = false

    /// Creates a parser at the beginning of a stream.
    package init(eventBytesMax: Int = 1024 * 1024) {
        precondition(eventBytesMax > 0)
        self.eventBytesMax = eventBytesMax
    }

    // MARK: Feeding

    /// Takes the next bytes of the stream; `next` should have returned nil before.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        dropDelivered()
        buffer.append(contentsOf: bytes)
    }

    /// Says that the stream has come to its proper end, so that a last event without its blank line is delivered too.
    package mutating func finish() {
        isFinished = true
    }

    private mutating func dropDelivered() {
        guard eventStart > 0 else { return }
        if eventStart == buffer.count {
            if buffer.capacity > EventStreamParser.keptCapacityBytes {
                buffer = []
            } else {
                buffer.removeAll(keepingCapacity: true)
            }
        } else {
            buffer.removeSubrange(..<eventStart)
        }
        let shift = eventStart
        eventStart = 0
        lineStart -= shift
        searched -= shift
        if let data = draft.data, !draft.isJoined {
            draft.data = data.lowerBound - shift..<data.upperBound - shift
        }
        if !draft.type.isEmpty {
            draft.type = draft.type.lowerBound - shift..<draft.type.upperBound - shift
        }
    }

    // MARK: Pulling

    /// The next complete event; nil when more bytes are needed.
    package mutating func next() throws(EventStreamError) -> EventStreamEvent? {
        guard skipByteOrderMark() else { return nil }
        while let (lineEnd, nextLine) = findLineEnd() {
            let line = lineStart..<lineEnd
            if nextLine - lineEnd != 1 || buffer[lineEnd] != .lineFeed { draft.isPlain = false }
            endedWithLoneReturn = nextLine - lineEnd == 1 && buffer[lineEnd] == .carriageReturn
            lineStart = nextLine
            searched = nextLine
            guard nextLine - eventStart <= eventBytesMax else { throw tooLarge }
            if line.isEmpty {
                if let event = takeEvent(upTo: nextLine) { return event }
            } else {
                readLine(line)
            }
        }
        guard buffer.count - eventStart <= eventBytesMax else { throw tooLarge }
        return isFinished ? takeLastEvent() : nil
    }

    private var tooLarge: EventStreamError { .eventTooLarge(bytesMax: eventBytesMax) }

    /// Skips a byte order mark at the very start; returns whether it is known yet that there is none left.
    private mutating func skipByteOrderMark() -> Bool {
        guard isAtStart else { return true }
        let mark = EventStreamParser.byteOrderMark
        if buffer.count < mark.count, !isFinished, mark.starts(with: buffer) { return false }
        isAtStart = false
        if buffer.starts(with: mark) {
            (eventStart, lineStart, searched) = (mark.count, mark.count, mark.count)
        }
        return true
    }

    /// Where the line that begins at `lineStart` ends, and where the one after it begins.
    private mutating func findLineEnd() -> (end: Int, nextLine: Int)? {
        guard let end = buffer.indexOfLineEnd(from: searched) else {
            searched = buffer.count
            return nil
        }
        searched = end
        guard buffer[end] == .carriageReturn else { return (end, end + 1) }
        if end + 1 < buffer.count { return (end, buffer[end + 1] == .lineFeed ? end + 2 : end + 1) }
        // A line feed may follow and would belong here; where lines end with lone returns, it will not.
        let isBlank = end == lineStart
        return isFinished || (isBlank && endedWithLoneReturn) ? (end, end + 1) : nil
    }

    private mutating func readLine(_ line: Range<Int>) {
        let colon = line.first { buffer[$0] == UInt8(ascii: ":") } ?? line.upperBound
        let name = line.lowerBound..<colon
        var value = min(colon + 1, line.upperBound)..<line.upperBound
        if !value.isEmpty, buffer[value.lowerBound] == UInt8(ascii: " ") {
            value = value.lowerBound + 1..<value.upperBound
        }
        if isName(name, "data") {
            readData(value)
        } else if isName(name, "event") {
            draft.type = value
        } else if name.isEmpty, draft.data == nil, draft.type.isEmpty {
            // A comment before anything else: forgotten at once, so that a flood of them needs no memory.
            eventStart = lineStart
            draft = Draft()
        } else {
            draft.isPlain = false
        }
    }

    private func isName(_ range: Range<Int>, _ name: StaticString) -> Bool {
        range.count == name.utf8CodeUnitCount
            && range.indices.allSatisfy { buffer[$0] == name.utf8Start[$0 - range.lowerBound] }
    }

    private mutating func readData(_ value: Range<Int>) {
        guard let earlier = draft.data else {
            draft.data = value
            return
        }
        if !draft.isJoined {
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: buffer[earlier])
            draft.isJoined = true
        }
        joined.append(.lineFeed)
        joined.append(contentsOf: buffer[value])
        draft.data = 0..<joined.count
    }

    /// Ends the event at a blank line; nil when it has no data.
    private mutating func takeEvent(upTo end: Int) -> EventStreamEvent? {
        let finished = draft
        let raw = eventStart..<end
        draft = Draft()
        eventStart = end
        guard let data = finished.data, !data.isEmpty else { return nil }
        return EventStreamEvent(
            raw: raw, data: data, type: finished.type, isJoined: finished.isJoined, isPlain: finished.isPlain)
    }

    private mutating func takeLastEvent() -> EventStreamEvent? {
        if lineStart < buffer.count { readLine(lineStart..<buffer.count) }
        lineStart = buffer.count
        searched = buffer.count
        draft.isPlain = false
        return takeEvent(upTo: buffer.count)
    }

    // MARK: Reading an event

    /// Lends the data of an event, its lines joined by line feeds.
    package func withData<Result>(
        of event: EventStreamEvent, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        (event.isJoined ? joined : buffer).withUnsafeBytes { bytes in
            body(UnsafeRawBufferPointer(rebasing: bytes[event.data]))
        }
    }

    /// The name on the `event` line; empty when there is none.
    package func type(of event: EventStreamEvent) -> String {
        String(decoding: buffer[event.type], as: UTF8.self)
    }

    /// Appends the event as a client should get it.
    ///
    /// The original bytes when they are nothing but `event` and `data` lines ended by line feeds; otherwise those lines anew:
    /// `id`, `retry` and comments of a provider are not for our clients.
    package func appendWire(of event: EventStreamEvent, to output: inout [UInt8]) {
        guard !event.isPlain else {
            output.append(contentsOf: buffer[event.raw])
            return
        }
        if !event.type.isEmpty {
            output.append(contentsOf: "event: ".utf8)
            output.append(contentsOf: buffer[event.type])
            output.append(.lineFeed)
        }
        let data = (event.isJoined ? joined : buffer)[event.data]
        for line in data.split(separator: .lineFeed, omittingEmptySubsequences: false) {
            output.append(contentsOf: "data: ".utf8)
            output.append(contentsOf: line)
            output.append(.lineFeed)
        }
        output.append(.lineFeed)
    }
}
