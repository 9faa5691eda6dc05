/// Checks one JSON value in one pass and writes down where everything in it lies.
///
/// It does not recurse, so nesting costs no stack. Text is in `JSONScanner+Text.swift`, numbers in
/// `JSONScanner+Number.swift`, duplicate keys in `JSONScanner+Keys.swift`.
struct JSONScanner {
    let base: UnsafePointer<UInt8>
    let end: Int
    let limits: JSONLimits
    let seed = JSONScanner.seed
    var position = 0
    var tape: JSONTape

    /// The key of the member whose value comes next: its inside, and whether it holds escapes.
    var keyStart = 0
    var keyLength = 0
    var keyIsEscaped = false

    init(_ source: UnsafeBufferPointer<UInt8>, base: UnsafePointer<UInt8>, limits: JSONLimits, tape: JSONTape)
    {
        self.base = base
        self.end = source.count
        self.limits = limits
        self.tape = tape
    }

    mutating func scan() throws(JSONError) {
        do throws(JSONError) {
            try scanDocument()
        } catch {
            tape.removeAll()
            throw error
        }
    }

    private mutating func scanDocument() throws(JSONError) {
        guard end <= limits.bytesMax else { throw JSONError(.tooLong, at: limits.bytesMax) }
        if end >= 3, base[0] == 0xEF, base[1] == 0xBB, base[2] == 0xBF {
            throw JSONError(.byteOrderMark, at: 0)
        }
        skipSpace()
        guard position < end else { throw JSONError(.empty, at: 0) }
        // Most documents are small: nothing of theirs need grow.
        tape.nodes.reserveCapacity(min(64, limits.valuesMax))
        tape.keys.reserveCapacity(min(32, limits.membersMax))
        tape.frames.reserveCapacity(min(8, limits.depthMax))
        if let frame = try scanValue() {
            try scanContents(of: frame)
        }
        skipSpace()
        guard position == end else { throw JSONError(.trailingBytes, at: position) }
    }

    /// Scans everything up to the end of the outermost object or array, which has just been opened.
    private mutating func scanContents(of outermost: JSONFrame) throws(JSONError) {
        var frame = outermost
        var isFresh = true
        while true {
            skipSpace()
            guard position < end else { throw JSONError(.unexpectedEnd, at: end) }
            let byte = base[position]
            if byte == (frame.isObject ? .closeBrace : .closeBracket) {
                position += 1
                try close(frame)
                guard let outer = tape.frames.popLast() else { return }
                frame = outer
                isFresh = false
                continue
            }
            if !isFresh {
                guard byte == .comma else { throw JSONError(.unexpectedByte, at: position) }
                position += 1
                skipSpace()
            }
            if frame.isObject { try scanKey(of: &frame) }
            isFresh = false
            if let inner = try scanValue() {
                guard tape.frames.count + 1 < limits.depthMax else {
                    throw JSONError(.tooDeep, at: position - 1)
                }
                tape.frames.append(frame)
                frame = inner
                isFresh = true
            }
        }
    }

    /// Scans a scalar, or the opening of an object or array, whose frame it returns.
    @inline(__always)
    private mutating func scanValue() throws(JSONError) -> JSONFrame? {
        guard position < end else { throw JSONError(.unexpectedEnd, at: end) }
        let start = position
        switch base[start] {
        case .quote:
            let isEscaped = try scanString()
            try append(.string, from: start, flags: isEscaped ? JSONNode.textIsEscaped : 0)
        case .openBrace, .openBracket:
            position += 1
            let isObject = base[start] == .openBrace
            let node = tape.nodes.count
            try append(isObject ? .object : .array, from: start, flags: 0)
            return JSONFrame(node: node, isObject: isObject, keysStart: tape.keys.count)
        case .minus, 0x30...0x39:
            let isInteger = try scanNumber()
            try append(.number, from: start, flags: isInteger ? JSONNode.numberIsInteger : 0)
        case UInt8(ascii: "t"):
            try scanWord("true")
            try append(.bool, from: start, flags: JSONNode.boolIsTrue)
        case UInt8(ascii: "f"):
            try scanWord("false")
            try append(.bool, from: start, flags: 0)
        case UInt8(ascii: "n"):
            try scanWord("null")
            try append(.null, from: start, flags: 0)
        default:
            throw JSONError(.unexpectedByte, at: start)
        }
        return nil
    }

    @inline(__always)
    private mutating func append(_ kind: JSONKind, from start: Int, flags: UInt8) throws(JSONError) {
        let index = tape.nodes.count
        guard index < limits.valuesMax else { throw JSONError(.tooManyValues, at: start) }
        tape.nodes.append(
            JSONNode(
                kind: kind, flags: keyIsEscaped ? flags | JSONNode.keyIsEscaped : flags,
                start: UInt32(truncatingIfNeeded: start), end: UInt32(truncatingIfNeeded: position),
                index: UInt32(truncatingIfNeeded: index),
                following: UInt32(truncatingIfNeeded: index + 1),
                keyStart: UInt32(truncatingIfNeeded: keyStart),
                keyLength: UInt32(truncatingIfNeeded: keyLength)))
        keyStart = 0
        keyLength = 0
        keyIsEscaped = false
    }

    private mutating func close(_ frame: JSONFrame) throws(JSONError) {
        if frame.isObject { try closeKeys(of: frame) }
        tape.nodes[frame.node].end = UInt32(truncatingIfNeeded: position)
        tape.nodes[frame.node].following = UInt32(truncatingIfNeeded: tape.nodes.count)
    }

    private mutating func scanWord(_ word: StaticString) throws(JSONError) {
        for index in 0..<word.utf8CodeUnitCount {
            guard position < end else { throw JSONError(.unexpectedEnd, at: end) }
            guard base[position] == word.utf8Start[index] else {
                throw JSONError(.unexpectedByte, at: position)
            }
            position += 1
        }
    }

    @inline(__always)
    mutating func skipSpace() {
        while position < end {
            switch base[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }
}
