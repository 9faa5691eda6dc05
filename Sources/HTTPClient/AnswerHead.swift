/// The status line and header fields of an answer, gathered line by line.
///
/// Kept as received, in one buffer that is reused: most fields are never asked for.
struct AnswerHead {
    private(set) var status = 0
    /// Whether the blank line after the final status line's fields has come.
    private(set) var isComplete = false
    /// Bytes of every line that came, interim answers and trailers included.
    private(set) var bytesReceived = 0
    private var bytes: [UInt8] = []

    /// Forgets the answer, keeping the buffer.
    mutating func reset() {
        status = 0
        isComplete = false
        bytesReceived = 0
        bytes.removeAll(keepingCapacity: true)
    }

    /// Takes one line with its line end; false when that exceeds `bytesMax`.
    mutating func append(_ line: UnsafeRawBufferPointer, bytesMax: Int) -> Bool {
        bytesReceived += line.count
        guard bytesReceived <= bytesMax else { return false }
        // After the final head only trailers come; they count, and mean nothing to us.
        guard !isComplete else { return true }
        if line.starts(with: "HTTP/".utf8) {
            bytes.removeAll(keepingCapacity: true)
            status = Self.status(ofLine: line)
        } else if line.allSatisfy({ $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }) {
            isComplete = status >= 200
        } else {
            bytes.append(contentsOf: line)
        }
        return true
    }

    /// The value of the first field of this name, without the white space around it.
    func value(of name: String) -> String? {
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            let line = bytes[start..<end]
            start = end + 1
            // Most lines are another field, which the byte after the name tells.
            let colon = line.startIndex + name.utf8.count
            guard colon < end, line[colon] == UInt8(ascii: ":"), Self.isSame(line[..<colon], name.utf8) else {
                continue
            }
            let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
            let value = line[(colon + 1)...].drop(while: isSpace)
            let valueEnd = value.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? value.startIndex
            return String(decoding: value[..<valueEnd], as: UTF8.self)
        }
        return nil
    }

    private static func isSame(_ field: ArraySlice<UInt8>, _ name: String.UTF8View) -> Bool {
        zip(field, name).allSatisfy { lowercased($0) == lowercased($1) }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func status(ofLine line: UnsafeRawBufferPointer) -> Int {
        let digits = line.drop { $0 != 0x20 }.drop { $0 == 0x20 }.prefix(3)
        return digits.reduce(0) { sum, byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? sum * 10 + Int(byte - 0x30) : sum
        }
    }
}
