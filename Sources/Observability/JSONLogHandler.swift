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
        JSONLogHandler.write(line(for: event))
    }

    /// The record as one line of JSON, with its line break.
    func line(for event: LogEvent) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(512)
        line.append(contentsOf: "{\"ts\":".utf8)
        line.append(contentsOf: String(WallClock.unixMilliseconds).utf8)
        JSONLogHandler.append(key: "level", event.level.rawValue, to: &line)
        JSONLogHandler.append(key: "logger", label, to: &line)
        JSONLogHandler.append(key: "message", event.message.description, to: &line)
        // A record's own value of a key takes the place of the logger's, so that no key comes twice.
        let values = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in values { JSONLogHandler.append(key: key, value, to: &line) }
        line.append(contentsOf: "}\n".utf8)
        return line
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
        case .stringConvertible(let convertible):
            // Numbers and flags are JSON's own, so that whoever reads the log can compute with them.
            switch convertible {
            case is Int, is Int64, is Bool:
                append(key: key, to: &line)
                line.append(contentsOf: convertible.description.utf8)
            default: append(key: key, convertible.description, to: &line)
            }
        case .array, .dictionary: append(key: key, value.description, to: &line)
        }
    }

    private static func append(key: String, _ value: String, to line: inout [UInt8]) {
        append(key: key, to: &line)
        append(quoted: value, to: &line)
    }

    private static func append(key: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: ","))
        append(quoted: key, to: &line)
        line.append(UInt8(ascii: ":"))
    }

    private static func append(quoted text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                line.append(UInt8(ascii: "\\"))
                line.append(byte)
            case 0..<0x20:
                line.append(contentsOf: "\\u00".utf8)
                line.append(hexDigits[Int(byte >> 4)])
                line.append(hexDigits[Int(byte & 15)])
            default: line.append(byte)
            }
        }
        line.append(UInt8(ascii: "\""))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}
