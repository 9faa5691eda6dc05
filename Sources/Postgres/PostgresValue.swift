/// The value of one statement parameter; the server takes its type from the statement.
package enum PostgresValue: Sendable, Equatable {
    case null
    /// Any type in its text form: text, uuid, numeric, timestamptz, jsonb, ….
    case text(String)
    case int(Int64)
    case bool(Bool)
    /// A `bytea`.
    case bytes([UInt8])
    /// A `bigint[]`.
    case intArray([Int64])
    /// A `bigint[]` with elements that may be null.
    case optionalIntArray([Int64?])
    /// A `boolean[]`.
    case boolArray([Bool])
    /// A `text[]`.
    case textArray([String])
    /// A `text[]` with elements that may be null.
    case optionalTextArray([String?])
    /// A `uuid[]`.
    case uuidArray([UUIDBits])
    /// A `bytea[]` with elements that may be null.
    case optionalBytesArray([[UInt8]?])

    /// The text, or null.
    package static func text(orNull text: String?) -> PostgresValue {
        text.map { .text($0) } ?? .null
    }

    /// The number, or null.
    package static func int(orNull number: Int64?) -> PostgresValue {
        number.map { .int($0) } ?? .null
    }
}

/// A UUID as two numbers.
package struct UUIDBits: Sendable, Equatable {
    let high: UInt64
    let low: UInt64

    /// Joins the upper and the lower 64 bits.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The type of an array's elements: its number in `pg_type.dat`, the same on every server.
private enum ElementType: UInt32 {
    case bool = 16
    case bytea = 17
    case bigint = 20
    case text = 25
    case uuid = 2950
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
        if case .null = value {
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
        case .int(let number): bytes += String(number).utf8
        case .bool(let flag): append(flag: flag)
        case .bytes(let data):
            bytes.append(contentsOf: data)
            format = Self.binaryFormat
        case .intArray(let numbers):
            beginArray(of: .bigint, count: numbers.count)
            for number in numbers { append(element: number) }
            format = Self.binaryFormat
        case .optionalIntArray(let numbers):
            beginArray(of: .bigint, count: numbers.count)
            for number in numbers {
                if let number { append(element: number) } else { appendNullElement() }
            }
            format = Self.binaryFormat
        case .boolArray(let flags):
            beginArray(of: .bool, count: flags.count)
            for flag in flags {
                append(word: 1)
                bytes.append(flag ? 1 : 0)
            }
            format = Self.binaryFormat
        case .textArray(let texts):
            beginArray(of: .text, count: texts.count)
            for text in texts { try append(element: text) }
            format = Self.binaryFormat
        case .optionalTextArray(let texts):
            beginArray(of: .text, count: texts.count)
            for text in texts {
                if let text { try append(element: text) } else { appendNullElement() }
            }
            format = Self.binaryFormat
        case .optionalBytesArray(let elements):
            beginArray(of: .bytea, count: elements.count)
            for element in elements { append(element: element) }
            format = Self.binaryFormat
        case .uuidArray(let uuids):
            beginArray(of: .uuid, count: uuids.count)
            for uuid in uuids {
                bytes.append(addingCapacity: 20) { output in
                    output.append(bigEndian: 16 as UInt32)
                    output.append(bigEndian: uuid.high)
                    output.append(bigEndian: uuid.low)
                }
            }
            format = Self.binaryFormat
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

    private mutating func append(flag: Bool) {
        bytes.append(flag ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    }

    // MARK: - Arrays, in the binary form of PostgreSQL's `array_recv`: a head, then each element behind its length

    private mutating func beginArray(of type: ElementType, count: Int) {
        // Dimensions; "may have nulls", which the server does not rely on; the type; then length and lower bound of the dimension.
        bytes.append(addingCapacity: 20) { output in
            output.append(bigEndian: count == 0 ? 0 : 1 as UInt32)
            output.append(bigEndian: 0 as UInt32)
            output.append(bigEndian: type.rawValue)
            guard count > 0 else { return }
            output.append(bigEndian: UInt32(count))
            output.append(bigEndian: 1 as UInt32)
        }
    }

    private mutating func append(element number: Int64) {
        bytes.append(addingCapacity: 12) { output in
            output.append(bigEndian: 8 as UInt32)
            output.append(bigEndian: number)
        }
    }

    private mutating func append(element text: String) throws(PostgresError) {
        var text = text
        append(word: UInt32(text.utf8.count))
        let start = bytes.count
        text.withUTF8 { bytes += $0 }
        try refuseZero(from: start)
    }

    private mutating func append(element data: [UInt8]?) {
        guard let data else { return appendNullElement() }
        append(word: UInt32(data.count))
        bytes += data
    }

    private mutating func appendNullElement() {
        append(word: .max)
    }

    private mutating func append(word: UInt32) {
        bytes.append(addingCapacity: 4) { $0.append(bigEndian: word) }
    }

    /// Refuses a zero byte, which PostgreSQL cannot store in a text and libpq would take for its end.
    private func refuseZero(from start: Int) throws(PostgresError) {
        guard !bytes[start...].contains(0) else { throw .invalidValue("a text with a zero byte") }
    }
}

extension OutputSpan<UInt8> {
    fileprivate mutating func append(bigEndian number: some FixedWidthInteger) {
        withUnsafeMutableBufferPointer { buffer, count in
            let size = number.bitWidth / 8
            UnsafeMutableRawBufferPointer(
                rebasing: UnsafeMutableRawBufferPointer(buffer)[count..<count + size]
            )
            .storeBytes(of: number.bigEndian, as: type(of: number))
            count += size
        }
    }
}
