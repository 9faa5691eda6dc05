import Glibc

/// The few operations of the system that an installation takes beside its servers.
enum SystemCalls {
    /// The words for an `errno`.
    static func message(_ code: Int32) -> String {
        String(cString: strerror(code))
    }

    /// Makes a directory, and those above it, unless it is there; returns whether it was made.
    @discardableResult
    static func makeDirectory(_ path: String, mode: mode_t) throws(InstallationError) -> Bool {
        var code = mkdir(path, mode) == 0 ? 0 : errno
        if code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectory(String(path[..<slash]), mode: 0o755)
            code = mkdir(path, mode) == 0 ? 0 : errno
        }
        if code == EEXIST {
            if isDirectory(path) { return false }
            code = ENOTDIR
        }
        guard code == 0 else { throw .system(operation: "make the directory", path: path, code: code) }
        // Whatever the umask: others may have to pass through.
        chmod(path, mode)
        return true
    }

    /// Whether the path is a directory, and not a link to one.
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether the path is a directory of this user.
    static func isOwnDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == geteuid()
    }

    /// Removes a file, or a directory with all that it contains; what cannot be removed stays.
    static func removeTree(_ path: String) {
        guard isDirectory(path) else {
            unlink(path)
            return
        }
        if let stream = opendir(path) {
            var names: [String] = []
            while let entry = readdir(stream) {
                names.append(
                    withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    })
            }
            closedir(stream)
            for name in names where name != "." && name != ".." { removeTree(path + "/" + name) }
        }
        rmdir(path)
    }

    /// What a file contains, or its last bytes; nil when it cannot be read.
    static func read(_ path: String, lastBytes: Int = 1 << 20) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        guard size >= 0 else { return nil }
        let start = max(0, size - lastBytes)
        let bytes = [UInt8](unsafeUninitializedCapacity: size - start) { buffer, count in
            count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, off_t(start)))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The last lines of a log.
    static func tail(of path: String, lines: Int = 15) -> String {
        (read(path, lastBytes: 8_192) ?? "").split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    /// Replaces a file as a whole: readers see the old contents or the new, never a part, and the mode from the start.
    static func write(_ contents: String, to path: String, mode: mode_t) throws(InstallationError) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw .system(operation: "write", path: temporary, code: errno) }
        defer { close(descriptor) }
        fchmod(descriptor, mode)
        guard writeAll(contents, to: descriptor), fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw .system(operation: "write", path: path, code: code)
        }
    }

    /// Writes all of a text to a descriptor; false with `errno` set when it does not take it.
    @discardableResult
    static func writeAll(_ text: String, to descriptor: Int32) -> Bool {
        writeAll(Array(text.utf8)[...], to: descriptor)
    }

    /// Writes all bytes to a descriptor; false with `errno` set when it does not take them.
    @discardableResult
    static func writeAll(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Raises the limit of open files as far as this user may; returns it.
    static func raiseOpenFilesLimit() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_max)
    }
}
