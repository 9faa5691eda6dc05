/// A record's many fields as one metadata value, for records that are written with every request.
///
/// `JSONLogHandler` takes them without a dictionary and writes each field into the line as if it were a key of the metadata.
package protocol LogFields: Sendable, CustomStringConvertible {
    /// Writes the fields, each key once.
    func write(to line: inout LogLine)
}

extension LogFields {
    /// The fields as one JSON object, for any other log handler.
    package var description: String {
        var line = LogLine()
        write(to: &line)
        return line.text
    }
}

/// A line of JSON that is being written: one object of texts, numbers and flags.
package struct LogLine {
    private var bytes: [UInt8] = []

    init() {
        bytes.reserveCapacity(768)
        bytes.append(UInt8(ascii: "{"))
    }

    /// Adds a text.
    package mutating func add(_ key: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { text in
            if LogLine.needsEscape(text) {
                begin(any: key.description)
                append(utf8: text)
            } else {
                add(key, text, isQuoted: true)
            }
        }
    }

    /// Adds a text that needs no escapes.
    package mutating func add(_ key: StaticString, plain text: UnsafeBufferPointer<UInt8>) {
        add(key, text, isQuoted: true)
    }

    /// Adds a number.
    package mutating func add(_ key: StaticString, _ value: Int64) {
        var digits = String(value)
        digits.withUTF8 { add(key, $0, isQuoted: false) }
    }

    /// Adds a number.
    package mutating func add(_ key: StaticString, _ value: Int) {
        add(key, Int64(value))
    }

    /// Adds a flag.
    package mutating func add(_ key: StaticString, _ value: Bool) {
        (value ? "true" : "false" as StaticString).withUTF8Buffer { add(key, $0, isQuoted: false) }
    }

    /// The finished object.
    var text: String { String(decoding: bytes, as: UTF8.self) + "}" }

    /// The finished object and a line break.
    consuming func finished() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    /// Adds a field that needs no escapes, in one step: byte by byte it takes three times as long.
    private mutating func add(_ key: StaticString, _ value: UnsafeBufferPointer<UInt8>, isQuoted: Bool) {
        separate()
        bytes.append(addingCapacity: key.utf8CodeUnitCount + value.count + 5) { output in
            output.append(UInt8(ascii: "\""))
            key.withUTF8Buffer { output.append($0) }
            output.append(UInt8(ascii: "\""))
            output.append(UInt8(ascii: ":"))
            if isQuoted { output.append(UInt8(ascii: "\"")) }
            output.append(value)
            if isQuoted { output.append(UInt8(ascii: "\"")) }
        }
    }

    /// Begins a field of any key; its value is appended next.
    mutating func begin(any key: String) {
        separate()
        append(key)
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func separate() {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    }

    /// Appends a number or a flag as the value of the field that has begun.
    mutating func append(bare value: some CustomStringConvertible) {
        var text = value.description
        text.withUTF8 { bytes += $0 }
    }

    /// Appends a text as the value of the field that has begun.
    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(utf8: $0) }
    }

    private mutating func append(utf8 text: UnsafeBufferPointer<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        if LogLine.needsEscape(text) { append(escaped: text) } else { bytes += text }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        // Without a branch, so that many bytes are looked at together.
        var found: UInt8 = 0
        for byte in text {
            found |= byte < 0x20 ? 1 : 0
            found |= byte == UInt8(ascii: "\"") ? 1 : 0
            found |= byte == UInt8(ascii: "\\") ? 1 : 0
        }
        return found != 0
    }

    private mutating func append(escaped text: UnsafeBufferPointer<UInt8>) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(LogLine.hexDigits[Int(byte >> 4)])
                bytes.append(LogLine.hexDigits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}

extension OutputSpan<UInt8> {
    fileprivate mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        withUnsafeMutableBufferPointer { buffer, count in
            let free = UnsafeMutableBufferPointer(rebasing: buffer[count...])
            count += free.initialize(fromContentsOf: bytes)
        }
    }
}
