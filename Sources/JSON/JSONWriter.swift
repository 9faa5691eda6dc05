/// Writes JSON into a growing buffer, setting the commas itself.
///
/// The caller sees to it that what is opened is closed and that members have keys.
package struct JSONWriter {
    /// What has been written so far.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// Creates a writer with an empty buffer.
    package init(capacityBytes: Int = 256) {
        bytes.reserveCapacity(capacityBytes)
    }

    /// Opens an object.
    package mutating func beginObject() {
        open(.openBrace)
    }

    /// Closes the innermost object.
    package mutating func endObject() {
        close(.closeBrace)
    }

    /// Opens an array.
    package mutating func beginArray() {
        open(.openBracket)
    }

    /// Closes the innermost array.
    package mutating func endArray() {
        close(.closeBracket)
    }

    /// Writes the key of the member whose value comes next.
    package mutating func key(_ key: String) {
        separate()
        appendQuoted(key)
        bytes.append(.colon)
        needsComma = false
    }

    /// Writes a string, or null.
    package mutating func string(_ value: String?) {
        guard let value else { return null() }
        separate()
        appendQuoted(value)
    }

    /// Writes an integer, or null.
    package mutating func integer(_ value: Int64?) {
        guard let value else { return null() }
        separate()
        appendInteger(value)
    }

    /// Writes `true` or `false`.
    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// Writes `null`.
    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    /// Writes bytes that are one valid JSON value already.
    package mutating func raw(_ value: some Collection<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    /// Writes a value with everything inside it.
    package mutating func value(_ value: JSONValue) {
        switch value {
        case .object(let members):
            beginObject()
            for member in members {
                key(member.key)
                self.value(member.value)
            }
            endObject()
        case .array(let elements):
            beginArray()
            for element in elements { self.value(element) }
            endArray()
        case .string(let text): string(text)
        case .number(let literal): raw(literal.utf8)
        case .bool(let flag): bool(flag)
        case .null: null()
        }
    }

    /// Writes a member that is a string, or null.
    package mutating func member(_ key: String, _ value: String?) {
        self.key(key)
        string(value)
    }

    /// Writes a member that is an integer, or null.
    package mutating func member(_ key: String, _ value: Int64?) {
        self.key(key)
        integer(value)
    }

    /// Writes a member that is `true` or `false`.
    package mutating func member(_ key: String, _ value: Bool) {
        self.key(key)
        bool(value)
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(.comma) }
        needsComma = true
    }

    private mutating func appendInteger(_ value: Int64) {
        if value < 0 { bytes.append(.minus) }
        var rest = value.magnitude
        let first = bytes.count
        repeat {
            bytes.append(.zero + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[first...].reverse()
    }

    private mutating func appendQuoted(_ text: String) {
        bytes.append(.quote)
        var text = text
        text.withUTF8 { source in
            if let base = source.baseAddress { appendEscaped(base, source.count) }
        }
        bytes.append(.quote)
    }

    /// Appends runs of harmless bytes as they are, and escapes what stands between them.
    private mutating func appendEscaped(_ base: UnsafePointer<UInt8>, _ count: Int) {
        var runStart = 0
        var index = 0
        while index < count {
            if index + 8 <= count, JSONText.escapeMarks(JSONText.word(base + index)) == 0 {
                index += 8
                continue
            }
            let byte = base[index]
            if byte == .quote || byte == .backslash || byte < 0x20 {
                bytes.append(contentsOf: UnsafeBufferPointer(start: base + runStart, count: index - runStart))
                appendEscape(byte)
                runStart = index + 1
            }
            index += 1
        }
        bytes.append(contentsOf: UnsafeBufferPointer(start: base + runStart, count: count - runStart))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        bytes.append(.backslash)
        switch byte {
        case .quote, .backslash: bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        default:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(.zero + (byte >> 4))
            bytes.append(byte & 0xF < 10 ? .zero + (byte & 0xF) : UInt8(ascii: "a") + (byte & 0xF) - 10)
        }
    }
}
