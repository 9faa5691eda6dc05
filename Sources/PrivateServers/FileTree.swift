import Glibc

/// The few operations on files and directories that running servers takes.
enum FileTree {
    /// The names in a directory, without `.` and `..`; none when it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes a file or a directory with all it contains; what cannot be removed stays.
    static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) { remove(path + "/" + name) }
        rmdir(path)
    }

    /// Makes a directory and those above it, whatever the umask; an existing one keeps its mode and owner.
    static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(ServerError) {
        if mkdir(path, mode) != 0 {
            if errno == EEXIST { return }
            guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw .system(operation: "make the directory", path: path, code: errno)
            }
            try makeDirectory(String(path[..<slash]))
            if mkdir(path, mode) != 0 {
                if errno == EEXIST { return }
                throw .system(operation: "make the directory", path: path, code: errno)
            }
        }
        chmod(path, mode)
    }

    /// Makes a directory that only one user may enter, and refuses one that somebody else has put there.
    static func makePrivateDirectory(_ path: String, owner: Account) throws(ServerError) {
        try makeDirectory(path, mode: 0o700)
        var status = stat()
        guard lstat(path, &status) == 0 else {
            throw .system(operation: "look at", path: path, code: errno)
        }
        let isOurs = status.st_uid == owner.userID || status.st_uid == geteuid()
        guard status.st_mode & S_IFMT == S_IFDIR, isOurs else {
            throw .unusable("\(path) is not a directory of ours: remove it and start again")
        }
        if status.st_uid != owner.userID, chown(path, owner.userID, owner.groupID) != 0 {
            throw .system(operation: "change the owner of", path: path, code: errno)
        }
        if status.st_mode & 0o777 != 0o700, chmod(path, 0o700) != 0 {
            throw .system(operation: "change the mode of", path: path, code: errno)
        }
    }

    /// Whether another user can pass through the directory and all those above it.
    static func isReachable(_ directory: String, by account: Account) -> Bool {
        var path = directory
        while true {
            var status = stat()
            if stat(path, &status) == 0 {
                let isOwner = status.st_uid == account.userID && status.st_mode & S_IXUSR != 0
                guard isOwner || status.st_mode & S_IXOTH != 0 else { return false }
            }
            guard let slash = path.lastIndex(of: "/"), path != "/" else { return true }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
    }

    /// What a file contains, or its last bytes; empty when it cannot be read.
    static func contents(of path: String, lastBytes: Int = 1 << 20) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        let start = max(0, size - lastBytes)
        let bytes = [UInt8](unsafeUninitializedCapacity: max(0, size - start)) { buffer, count in
            count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, off_t(start)))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The last lines of a log.
    static func tail(of path: String, lines: Int = 15) -> String {
        contents(of: path, lastBytes: 8_192).split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    /// The path from the root, whatever the working directory becomes later.
    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return String(cString: directory) + "/" + path
    }

    /// Eight hexadecimal digits that tell one path from another (FNV-1a).
    static func shortHash(_ path: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String((hash ^ hash >> 32) & 0xffff_ffff, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}

/// A user of the machine.
struct Account: Sendable {
    let userID: uid_t
    let groupID: gid_t

    static var current: Account { Account(userID: geteuid(), groupID: getegid()) }

    /// Looks the user up; nil when the machine has none of that name.
    init?(named name: String) {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var strings = [CChar](repeating: 0, count: 4_096)
        let code = getpwnam_r(name, &entry, &strings, strings.count, &found)
        guard code == 0, found != nil else { return nil }
        self.init(userID: entry.pw_uid, groupID: entry.pw_gid)
    }

    private init(userID: uid_t, groupID: gid_t) {
        self.userID = userID
        self.groupID = groupID
    }
}
