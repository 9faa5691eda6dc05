import Glibc

/// Where everything of a private installation lies, all derived from its directory.
package struct InstallationLayout: Sendable {
    /// The directory itself, absolute.
    package let directory: String
    /// Sockets and what else lives only while the installation runs; short enough for socket paths, reachable by nginx's
    /// workers, and removed at the end.
    package let runtimeDirectory: String

    /// Derives the places; makes nothing.
    package init(directory: String) throws(InstallationError) {
        let isRoot = geteuid() == 0
        try self.init(
            directory: directory,
            runtimeDirectory: Self.runtimeDirectory(of: Self.absolute(directory), isRoot: isRoot))
    }

    init(directory: String, runtimeDirectory: String) throws(InstallationError) {
        let absolute = Self.absolute(directory)
        // The path becomes part of the configuration of nginx and PostgreSQL, where these characters mean something.
        let special = absolute.unicodeScalars.first {
            "\"\\$*?[,".unicodeScalars.contains($0) || $0.value < 32
        }
        guard special == nil else {
            throw .directoryUnusable(
                path: directory, reason: "its path contains a character that configuration files cannot hold")
        }
        self.directory = absolute
        self.runtimeDirectory = runtimeDirectory
    }

    /// The variables that make a shell use this installation.
    package var environmentPath: String { directory + "/env" }
    /// Held by the supervisor as long as it lives.
    package var lockPath: String { directory + "/lock" }
    /// What was made already, for later starts.
    package var recordPath: String { directory + "/record.json" }
    /// What runs now, for `tollgate status`.
    package var reportPath: String { directory + "/report.json" }
    /// Logs of what is not a server with a directory of its own.
    package var logDirectory: String { directory + "/log" }
    /// The output of a supervisor that runs in the background.
    package var supervisorLogPath: String { logDirectory + "/up.log" }
    /// Readable by this user alone.
    package var secretDirectory: String { directory + "/secret" }
    /// The key of the hashes of API keys.
    package var pepperPath: String { secretDirectory + "/pepper" }
    /// What events for the webhook are signed with.
    package var webhookSecretPath: String { secretDirectory + "/webhook-secret" }
    /// PostgreSQL: log, and its data unless the postgres user cannot reach the place.
    package var postgresDirectory: String { directory + "/postgres" }
    /// Redis: append-only file and log.
    package var redisDirectory: String { directory + "/redis" }
    /// nginx: the filled-in configuration and its logs.
    package var nginxDirectory: String { directory + "/nginx" }

    /// The FastCGI socket of tollgated.
    ///
    /// Its name is of this run, because the tollgated of a killed run may still be draining.
    package func socketPath(run pid: Int32) -> String { runtimeDirectory + "/tollgated.\(pid).sock" }

    /// Where the processes of tollgated share their metrics.
    package var metricsDirectory: String { runtimeDirectory + "/tollgated" }

    /// The log of a part or of the jobs.
    package func logPath(_ name: String) -> String { "\(logDirectory)/\(name).log" }

    /// Makes all directories that the servers do not make themselves.
    package func makeDirectories() throws(InstallationError) {
        try SystemCalls.makeDirectory(directory, mode: 0o755)
        try SystemCalls.makeDirectory(logDirectory, mode: 0o700)
        try SystemCalls.makeDirectory(secretDirectory, mode: 0o700)
        try SystemCalls.makeDirectory(nginxDirectory, mode: 0o755)
        // A fresh one: what a killed run left there is of no use.
        if SystemCalls.isOwnDirectory(runtimeDirectory) { SystemCalls.removeTree(runtimeDirectory) }
        try SystemCalls.makeDirectory(runtimeDirectory, mode: geteuid() == 0 ? 0o755 : 0o700)
        guard SystemCalls.isOwnDirectory(runtimeDirectory) else {
            throw .directoryUnusable(path: runtimeDirectory, reason: "it belongs to somebody else")
        }
        try SystemCalls.makeDirectory(metricsDirectory, mode: 0o700)
    }

    static func runtimeDirectory(of directory: String, isRoot: Bool) -> String {
        if isRoot { return "/run/tollgate-" + shortHash(directory) }
        let wanted = directory + "/run"
        let longestName = "/postgres/.s.PGSQL.5432"
        let socketPathBytesMax = 107
        if wanted.utf8.count + longestName.utf8.count <= socketPathBytesMax { return wanted }
        return "/tmp/tollgate-run-\(geteuid())-" + shortHash(directory)
    }

    /// The path from the root, without `.` and `..`; links are followed as far as the path exists.
    static func absolute(_ path: String) -> String {
        var whole = path
        if !path.hasPrefix("/"), let current = getcwd(nil, 0) {
            whole = String(cString: current) + "/" + path
            free(current)
        }
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        for count in stride(from: parts.count, to: 0, by: -1) {
            guard let real = realpath("/" + parts.prefix(count).joined(separator: "/"), nil) else { continue }
            defer { free(real) }
            let rest = parts.dropFirst(count).map { "/" + $0 }.joined()
            return String(cString: real) + rest
        }
        return "/" + parts.joined(separator: "/")
    }

    /// Eight hexadecimal digits that tell one path from another (FNV-1a).
    private static func shortHash(_ path: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String((hash ^ hash >> 32) & 0xffff_ffff, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}
