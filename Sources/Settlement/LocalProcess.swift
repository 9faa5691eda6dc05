import Glibc
package import Ledger

/// What a process is called by others on this machine.
package enum LocalProcess {
    /// The kernel's boot id and this process's pid namespace: where a pid means something.
    package static let host: String = {
        let boot = firstLine(of: "/proc/sys/kernel/random/boot_id")
        var namespace = stat()
        // Without /proc there is no name that another process could share.
        guard !boot.isEmpty, stat("/proc/self/ns/pid", &namespace) == 0 else { return "unknown" }
        return "\(boot):\(namespace.st_ino)"
    }()

    /// The identity under which this process owns pending rows.
    package static func identity() -> OwnerIdentity {
        let pid = getpid()
        let start = startTime(firstLine(of: "/proc/\(pid)/stat")) ?? 0
        let random = UInt32.random(in: 0 ... .max)
        var name = [CChar](repeating: 0, count: 65)
        gethostname(&name, 64)
        let machine = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return OwnerIdentity(name: "\(machine):\(pid):\(random)", host: host, pid: pid, processStart: start)
    }

    /// Whether the process that had this pid, started at that time, still runs here.
    ///
    /// A process that we may not look at (`hidepid`, another user namespace) is taken for running: only its lease can tell then.
    package static func isRunning(pid: Int32, start: Int64) -> Bool {
        guard host != "unknown" else { return true }
        let status = firstLine(of: "/proc/\(pid)/stat")
        return isRunning(status: status, exists: kill(pid, 0) == 0 || errno != ESRCH, start: start)
    }

    /// Whether an owner of rows has certainly ended: its lease has, or it ran on this machine and is gone.
    package static func isDead(_ owner: OwnerIdentity?, isLeased: Bool) -> Bool {
        guard isLeased else { return true }
        guard let owner, owner.host == host else { return false }
        return !isRunning(pid: owner.pid, start: owner.processStart)
    }

    static func isRunning(status: String, exists: Bool, start: Int64) -> Bool {
        status.isEmpty ? exists : startTime(status) == start
    }

    /// The 22nd field of `/proc/<pid>/stat`: when it started, in clock ticks since boot.
    ///
    /// Nil when there is no such process, or it has ended and only waits for its parent.
    private static func startTime(_ line: String) -> Int64? {
        guard let end = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return Int64(fields[19])
    }

    private static func firstLine(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
    }
}
