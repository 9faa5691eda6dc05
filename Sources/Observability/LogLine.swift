/// A record's many fields as one metadata value, for records that are written with every request.
///
/// `JSONLogHandler` writes each field into the line itself, as if it had a key of its own in the metadata; it saves a dictionary a
/// record.
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
        begin(key)
        append(value)
    }

    /// Adds a number.
    package mutating func add(_ key: StaticString, _ value: Int64) {
        begin(key)
        append(bare: value)
    }

    /// Adds a number.
    package mutating func add(_ key: StaticString, _ value: Int) {
        add(key, Int64(value))
    }

    /// Adds a flag.
    package mutating func add(_ key: StaticString, _ value: Bool) {
        begin(key)
        append(bare: value)
    }

    /// The finished object.
    var text: String { String(decoding: bytes, as: UTF8.self) + "}" }

    /// The finished object and a line break.
    consuming func finished() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    /// Begins a field whose key needs no escapes; its value is appended next.
    private mutating func begin(_ key: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes += UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
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
        bytes += value.description.utf8
    }

    /// Appends a text as the value of the field that has begun.
    mutating func append(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            if utf8.contains(where: LogLine.needsEscape) { append(escaped: utf8) } else { bytes += utf8 }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
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
