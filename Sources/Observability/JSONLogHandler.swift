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

    /// Logs a record of the logger's metadata and these fields, none of which is in it.
    package func log(level: Logger.Level, message: String, _ fields: some LogFields) {
        JSONLogHandler.write(line(level, message, fields))
    }

    func line(_ level: Logger.Level, _ message: String, _ fields: some LogFields) -> [UInt8] {
        var line = line(level, message)
        for (key, value) in metadata { JSONLogHandler.add(key, value, to: &line) }
        fields.write(to: &line)
        return line.finished()
    }

    private func line(_ level: Logger.Level, _ message: String) -> LogLine {
        var line = LogLine()
        line.add("ts", WallClock.unixMilliseconds)
        line.add("level", level.rawValue)
        line.add("logger", label)
        line.add("message", message)
        return line
    }

    /// The record as one line of JSON, with its line break.
    func line(for event: LogEvent) -> [UInt8] {
        var line = line(event.level, event.message.description)
        let own = event.metadata ?? [:]
        // A record's own value of a key takes the place of the logger's, so that no key comes twice.
        for (key, value) in metadata where own[key] == nil { JSONLogHandler.add(key, value, to: &line) }
        for (key, value) in own { JSONLogHandler.add(key, value, to: &line) }
        return line.finished()
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

    private static func add(_ key: String, _ value: Logger.MetadataValue, to line: inout LogLine) {
        line.begin(any: key)
        switch value {
        case .string(let text): line.append(text)
        case .stringConvertible(let convertible):
            // Numbers and flags are JSON's own, so that whoever reads the log can compute with them.
            switch convertible {
            case is Int, is Int64, is Bool: line.append(bare: convertible)
            default: line.append(convertible.description)
            }
        case .array, .dictionary: line.append(value.description)
        }
    }
}
