import CLinux
import Glibc
import Threads

/// A directory with a short path that is removed with its last reference, at the latest when the process exits.
///
/// Other users may pass through it, as a PostgreSQL server under its own user must. What a killed process left behind is
/// removed by the next one that makes a temporary directory.
package final class TemporaryDirectory: Sendable {
    /// The absolute path.
    package let path: String

    // An exclusive lock on the directory that ends with the process, however it ends: who gets it may remove the directory.
    private let descriptor: Int32
    private static let root = "/tmp"
    private static let prefix = "tollgate-test-"
    private static let present = Locked<Set<String>>([])
    private static let start: Void = {
        removeLeftovers()
        atexit { TemporaryDirectory.removeAll() }
    }()

    /// Makes a directory.
    package init() throws(ServerError) {
        Self.start
        // `mkdtemp` replaces the six marks.
        let marks = String(repeating: "X", count: 6)
        var template = Array("\(Self.root)/\(Self.prefix)\(marks)".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .system(operation: "make a directory in", path: Self.root, code: errno)
        }
        path = template.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        chmod(path, 0o711)
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        flock(descriptor, LOCK_EX | LOCK_NB)
        Self.present.withLock { [path] in _ = $0.insert(path) }
    }

    deinit {
        FileTree.remove(path)
        close(descriptor)
        Self.present.withLock { [path] in _ = $0.remove(path) }
    }

    private static func removeAll() {
        for path in present.withLock({ $0 }) { FileTree.remove(path) }
    }

    private static func removeLeftovers() {
        for name in FileTree.names(in: root) where name.hasPrefix(prefix) {
            let path = root + "/" + name
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var status = stat()
            // A young one may belong to a process that has made it and not locked it yet.
            guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(),
                time(nil) - status.st_mtim.tv_sec > 60, flock(descriptor, LOCK_EX | LOCK_NB) == 0
            else { continue }
            FileTree.remove(path)
        }
    }
}
