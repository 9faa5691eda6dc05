import Glibc
package import Logging
import Threads

/// Writes each log record as one line of JSON to standard error, in one `write`.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let label: String

    /// Creates a handler.
    package init(label: String, logLevel: Logger.Level) {
        self.label = label
        self.logLevel = logLevel
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line: [UInt8] = []
        line.reserveCapacity(512)
        line.append(contentsOf: "{\"ts\":".utf8)
        JSONLogHandler.append(String(WallClock.unixMilliseconds), quoted: false, to: &line)
        JSONLogHandler.append(key: "level", event.level.rawValue, to: &line)
        JSONLogHandler.append(key: "logger", label, to: &line)
        JSONLogHandler.append(key: "message", event.message.description, to: &line)
        for (key, value) in metadata { JSONLogHandler.append(key: key, value, to: &line) }
        for (key, value) in event.metadata ?? [:] { JSONLogHandler.append(key: key, value, to: &line) }
        line.append(contentsOf: "}\n".utf8)
        JSONLogHandler.write(line)
    }

    /// Writes a finished line to standard error; a full disk or a closed pipe costs the line and nothing else.
    package static func write(_ line: [UInt8]) {
        line.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let written = Glibc.write(2, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
                guard written > 0 else { return }
                offset += written
            }
        }
    }

    private static func append(key: String, _ value: Logger.MetadataValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text): append(key: key, text, to: &line)
        case .stringConvertible(let convertible): append(key: key, convertible.description, to: &line)
        case .array, .dictionary: append(key: key, value.description, to: &line)
        }
    }

    private static func append(key: String, _ value: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: ","))
        append(key, quoted: true, to: &line)
        line.append(UInt8(ascii: ":"))
        append(value, quoted: true, to: &line)
    }

    private static func append(_ text: String, quoted: Bool, to line: inout [UInt8]) {
        guard quoted else {
            line.append(contentsOf: text.utf8)
            return
        }
        line.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                line.append(UInt8(ascii: "\\"))
                line.append(byte)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                line.append(contentsOf: "\\u00".utf8)
                line.append(digits[Int(byte >> 4)])
                line.append(digits[Int(byte & 15)])
            default: line.append(byte)
            }
        }
        line.append(UInt8(ascii: "\""))
    }
}
