import Glibc
import Threads

/// The provider's own record of the calls it executed: one JSON line each, against which others' books are checked.
struct CallLog {
    private static let flushBytes = 32 * 1_024
    private static let flushMilliseconds = 20

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var second = -1
    private var secondText: [UInt8] = []
    /// When the lines in the buffer must be written; nil when there are none.
    private(set) var flushDeadline: Deadline?

    /// Opens the log for appending.
    init(path: String?) throws(SimulatorError) {
        guard let path else {
            descriptor = -1
            return
        }
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .cannotOpenLog(errno) }
    }

    /// Appends the line of a call that has ended.
    mutating func append(_ call: Call, outcome: Outcome, closedByClient: Bool = false) {
        guard descriptor >= 0 else { return }
        // Before the time is read: the call then never seems to have begun earlier than it did.
        let milliseconds = Int(call.started.elapsedNanoseconds / 1_000_000)
        buffer.append("{\"at\":\"")
        appendTime()
        buffer.append("\",\"id\":\"")
        buffer.append(contentsOf: call.id)
        buffer.append("\",\"trace\":")
        buffer.append(json: call.head.trace)
        buffer.append(",\"attempt\":")
        buffer.append(json: call.head.attempt)
        buffer.append(",\"credential_tail\":")
        buffer.append(json: call.head.credentialTail)
        buffer.append(",\"model\":\"")
        buffer.append(contentsOf: call.model)
        buffer.append(call.isStream ? "\",\"stream\":true" : "\",\"stream\":false")
        buffer.append(",\"prompt_tokens\":")
        buffer.append(decimal: call.promptTokens)
        buffer.append(",\"completion_tokens\":")
        buffer.append(decimal: call.completionTokensSent)
        buffer.append(",\"outcome\":")
        buffer.append(json: outcome.rawValue)
        buffer.append(",\"duration_ms\":")
        buffer.append(decimal: milliseconds)
        if closedByClient {
            buffer.append(",\"closed_by_client_after_ms\":")
            buffer.append(decimal: milliseconds)
        }
        buffer.append("}\n")
        if closedByClient || buffer.count >= Self.flushBytes {
            flush()
        } else if flushDeadline == nil {
            flushDeadline = .after(milliseconds: Self.flushMilliseconds)
        }
    }

    /// Writes what is in the buffer.
    mutating func flush() {
        flushDeadline = nil
        var written = 0
        while written < buffer.count {
            let count = buffer.withUnsafeBytes {
                write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            // A full disk loses lines, not calls.
            guard count > 0 || errno == EINTR else { break }
            written += max(count, 0)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Writes what is left and closes the file.
    mutating func close() {
        guard descriptor >= 0 else { return }
        flush()
        Glibc.close(descriptor)
    }

    private mutating func appendTime() {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        if now.tv_sec != second {
            second = now.tv_sec
            var parts = tm()
            gmtime_r(&now.tv_sec, &parts)
            secondText.removeAll(keepingCapacity: true)
            secondText.append(decimal: Int(parts.tm_year) + 1900, digits: 4)
            for (separator, number) in [("-", parts.tm_mon + 1), ("-", parts.tm_mday), ("T", parts.tm_hour)] {
                secondText.append(contentsOf: separator.utf8)
                secondText.append(decimal: Int(number), digits: 2)
            }
            for number in [parts.tm_min, parts.tm_sec] {
                secondText.append(UInt8(ascii: ":"))
                secondText.append(decimal: Int(number), digits: 2)
            }
        }
        buffer.append(contentsOf: secondText)
        buffer.append(UInt8(ascii: "."))
        buffer.append(decimal: now.tv_nsec / 1_000_000, digits: 3)
        buffer.append(UInt8(ascii: "Z"))
    }
}

/// How a call ended.
enum Outcome: String {
    case complete, cancelled, cut, error, hung
}
