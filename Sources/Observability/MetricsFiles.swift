import Glibc
import Threads

/// Why the metrics of several processes cannot be told.
package enum SharedMetricsError: Error, Equatable, CustomStringConvertible {
    /// A C function failed on a path with this `errno`.
    case system(call: String, path: String, code: Int32)
    /// Another process kept the directory to itself for too long.
    case busy(path: String)

    package var description: String {
        switch self {
        case .system(let call, let path, let code): "\(call) \(path): \(String(cString: strerror(code)))"
        case .busy(let path): "\(path) is locked by another process"
        }
    }
}

/// A file that is locked as long as this value lives, and unlocked by the kernel whatever we die of.
struct LockedFile: ~Copyable {
    private let descriptor: Int32

    /// Opens and locks a file, which is made when it is not there.
    init(_ path: String, until deadline: Deadline) throws(SharedMetricsError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(call: "open", path: path, code: errno) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR, !deadline.isPast else {
                close(descriptor)
                throw code == EWOULDBLOCK ? .busy(path: path) : .system(call: "flock", path: path, code: code)
            }
            usleep(1_000)
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}

/// The few operations on files that sharing metrics takes.
enum MetricsFiles {
    /// The names of what a directory contains.
    static func names(in directory: String) throws(SharedMetricsError) -> [String] {
        guard let stream = opendir(directory) else {
            throw .system(call: "opendir", path: directory, code: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// What a file contains; nil when there is none.
    static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    /// Replaces a file as a whole: whoever reads it, also after a crash, finds the old contents or the new.
    static func write(_ text: String, to path: String) throws(SharedMetricsError) {
        let temporary = path + ".new"
        guard let file = fopen(temporary, "we") else {
            throw .system(call: "open", path: temporary, code: errno)
        }
        let bytes = Array(text.utf8)
        let isWritten = fwrite(bytes, 1, bytes.count, file) == bytes.count
        let isClosed = fclose(file) == 0
        guard isWritten, isClosed, rename(temporary, path) == 0 else {
            throw .system(call: "write", path: path, code: errno)
        }
    }
}
