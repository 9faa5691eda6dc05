/// The value of one statement parameter; the server takes its type from the statement.
package enum PostgresValue: Sendable, Equatable {
    case null
    /// Any type in its text form: text, uuid, numeric, timestamptz, jsonb, ….
    case text(String)
    case int(Int64)
    case bool(Bool)
    /// A `bytea`.
    case bytes([UInt8])
    case intArray([Int64])
    case optionalIntArray([Int64?])
    case boolArray([Bool])
    /// An array of any type, each element in its text form.
    case textArray([String])
    case optionalTextArray([String?])

    /// The text, or null.
    package static func text(orNull text: String?) -> PostgresValue {
        text.map { .text($0) } ?? .null
    }

    /// The number, or null.
    package static func int(orNull number: Int64?) -> PostgresValue {
        number.map { .int($0) } ?? .null
    }
}

/// The parameters of one or more statements as libpq takes them, in one buffer that is used again and again.
struct ParameterBuffer {
    private var bytes: [UInt8] = []
    private var offsets: [Int?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []
    private var pointers: [UnsafePointer<CChar>?] = []

    private static let textFormat: Int32 = 0
    private static let binaryFormat: Int32 = 1
    /// The protocol counts parameters in 16 bits.
    private static let parametersMax = 65_535

    /// Forgets all parameters and keeps the memory, unless an unusual statement made it large.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        offsets.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
    }

    /// Appends the parameters of one statement and returns where they are.
    mutating func append(_ values: [PostgresValue]) throws(PostgresError) -> Range<Int> {
        precondition(values.count <= Self.parametersMax, "too many parameters for one statement")
        let start = offsets.count
        for value in values { try append(value) }
        return start..<offsets.count
    }

    /// Calls `body` with the parameters of one statement: values, lengths and formats.
    mutating func withParameters(
        _ range: Range<Int>,
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> Int32
    ) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            pointers.removeAll(keepingCapacity: true)
            for offset in offsets[range] { pointers.append(offset.flatMap { base?.advanced(by: $0) }) }
            return pointers.withUnsafeBufferPointer { pointers in
                lengths[range].withUnsafeBufferPointer { lengths in
                    formats[range].withUnsafeBufferPointer { formats in
                        body(pointers.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }

    private mutating func append(_ value: PostgresValue) throws(PostgresError) {
        guard value != .null else {
            offsets.append(nil)
            lengths.append(0)
            formats.append(Self.textFormat)
            return
        }
        let start = bytes.count
        var format = Self.textFormat
        switch value {
        case .null: break
        case .text(let text): try append(text: text)
        case .int(let number): append(number: number)
        case .bool(let flag): append(flag: flag)
        case .bytes(let data):
            bytes.append(contentsOf: data)
            format = Self.binaryFormat
        case .intArray(let numbers): appendArray(numbers) { $0.append(number: $1) }
        case .optionalIntArray(let numbers):
            appendArray(numbers) { buffer, number in
                if let number { buffer.append(number: number) } else { buffer.appendNull() }
            }
        case .boolArray(let flags): appendArray(flags) { $0.append(flag: $1) }
        case .textArray(let texts):
            try appendArray(texts) { (buffer, text) throws(PostgresError) in try buffer.append(quoted: text) }
        case .optionalTextArray(let texts):
            try appendArray(texts) { (buffer, text) throws(PostgresError) in
                if let text { try buffer.append(quoted: text) } else { buffer.appendNull() }
            }
        }
        offsets.append(start)
        lengths.append(Int32(bytes.count - start))
        formats.append(format)
        // libpq finds the end of a text by its zero.
        bytes.append(0)
    }

    private mutating func append(text: String) throws(PostgresError) {
        let start = bytes.count
        var text = text
        text.withUTF8 { bytes += $0 }
        try refuseZero(from: start)
    }

    private mutating func append(number: Int64) {
        var left = number.magnitude
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(left % 10))
            left /= 10
        } while left > 0
        bytes[start...].reverse()
    }

    private mutating func append(flag: Bool) {
        bytes.append(flag ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    }

    private mutating func appendNull() {
        bytes.append(contentsOf: "NULL".utf8)
    }

    /// Appends an array element in quotes, so that no text is mistaken for NULL or for a separator.
    private mutating func append(quoted text: String) throws(PostgresError) {
        let start = bytes.count
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            guard utf8.contains(where: ParameterBuffer.needsEscape) else {
                bytes += utf8
                return
            }
            for byte in utf8 {
                if ParameterBuffer.needsEscape(byte) { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        try refuseZero(from: start)
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func appendArray<Element, Failure: Error>(
        _ elements: [Element], _ appendElement: (inout ParameterBuffer, Element) throws(Failure) -> Void
    ) throws(Failure) {
        bytes.append(UInt8(ascii: "{"))
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            try appendElement(&self, element)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    /// Refuses a zero byte, which PostgreSQL cannot store in a text and libpq would take for its end.
    private func refuseZero(from start: Int) throws(PostgresError) {
        guard !bytes[start...].contains(0) else { throw .invalidValue("a text with a zero byte") }
    }
}
