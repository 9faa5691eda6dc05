import Glibc
package import Threads

/// A PostgreSQL server of our own: on a unix socket only, with a data directory of its own, ended with us.
///
/// Started by root it runs as the `postgres` user, because PostgreSQL refuses root. A directory that this user cannot reach is
/// then replaced by one under `/var/lib/tollgate`, and a socket path too long for the kernel by one under `/tmp`.
package final class PrivatePostgres: Sendable {
    /// How the server is made and run.
    package struct Options: Sendable {
        /// Configuration of the server, such as `fsync=off`.
        package var settings: [String] = []
        /// Whether `initdb` waits for the disk; only tests can do without.
        package var isDurable = true
        /// The owner of everything in the server; trusted on the socket without a password.
        package var superuser = "tollgate"
        /// How long a start may take, recovery after a crash included.
        package var startTimeoutSeconds = 60

        /// The options of a server whose data matters.
        package init() {}

        /// Fast and forgetful, for tests: nothing reaches the disk, and 200 connections are allowed.
        package static var forTests: Options {
            var options = Options()
            options.isDurable = false
            options.settings = [
                "fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=32MB",
            ]
            return options
        }
    }

    /// Where the data is.
    package let dataDirectory: String
    /// Where the socket is; the `host` of a connection string.
    package let socketDirectory: String
    /// What the server has to say.
    package let logPath: String

    private let options: Options
    private let user: String?
    private let current = Locked<ChildProcess?>(nil)
    private static let socketName = ".s.PGSQL.5432"

    /// Prepares the directories, makes the database cluster if there is none, and starts the server.
    ///
    /// - Parameters:
    ///   - directory: Holds `data`, the log and, unless told otherwise, the socket.
    ///   - socketDirectory: Where to listen; created with mode 0700.
    ///   - options: How to run it.
    package init(
        directory: String, socketDirectory: String? = nil, options: Options = Options()
    ) throws(ServerError) {
        let directory = FileTree.absolute(directory)
        let sockets = FileTree.absolute(socketDirectory ?? directory + "/socket")
        self.options = options
        try FileTree.makeDirectory(directory)
        try FileTree.makeDirectory(Self.parent(of: sockets))
        logPath = directory + "/postgres.log"
        _ = try Program.postgres("postgres").path()
        if geteuid() == 0 {
            user = "postgres"
            guard let account = Account(named: "postgres") else {
                throw .unusable("the machine has no user postgres: apt-get install postgresql")
            }
            let isReachable = FileTree.isReachable(directory, by: account)
            dataDirectory =
                (isReachable ? directory : "/var/lib/tollgate/" + FileTree.shortHash(directory)) + "/data"
            self.socketDirectory = LocalSocket.directory(
                sockets, longestName: Self.socketName,
                isUsable: FileTree.isReachable(Self.parent(of: sockets), by: account))
            try FileTree.makePrivateDirectory(self.socketDirectory, owner: account)
            try FileTree.makeDirectory(Self.parent(of: dataDirectory))
            try FileTree.makePrivateDirectory(dataDirectory, owner: account)
        } else {
            user = nil
            dataDirectory = directory + "/data"
            self.socketDirectory = LocalSocket.directory(sockets, longestName: Self.socketName)
            try FileTree.makePrivateDirectory(self.socketDirectory, owner: .current)
            try FileTree.makePrivateDirectory(dataDirectory, owner: .current)
        }
        if access(dataDirectory + "/PG_VERSION", F_OK) != 0 { try makeCluster() }
        try start()
    }

    deinit {
        stop(isImmediate: true)
    }

    /// The running server; nil while it is stopped.
    package var process: ChildProcess? { current.withLock { $0 } }

    /// A libpq connection string for a database of this server.
    package func connectionString(database: String = "postgres") -> String {
        let host = socketDirectory.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return "host='\(host)' port=5432 user=\(options.superuser) dbname=\(database)"
    }

    /// Starts the server and waits until it accepts connections; nothing happens when it is running.
    package func start() throws(ServerError) {
        if let process, process.isRunning { return }
        let deadline = Deadline.after(seconds: options.startTimeoutSeconds)
        waitForPredecessor(until: min(deadline, .after(seconds: 15)))
        var arguments = [try Program.postgres("postgres").path(), "-D", dataDirectory]
        let fixed = ["listen_addresses=", "unix_socket_directories=\(socketDirectory)", "port=5432"]
        for setting in options.settings + fixed { arguments += ["-c", setting] }
        let process = try ChildProcess(
            arguments, logPath: logPath, deathSignal: .interrupt, user: user, workingDirectory: "/")
        let isReady = LocalSocket.waitUntil(deadline, while: process) {
            let (pid, state) = readLockFile()
            return pid == process.pid && state == "ready"
        }
        guard isReady else {
            let reason = process.isRunning ? "was not ready in time" : "ended at once"
            process.terminate(signal: SIGINT, until: .after(seconds: 5))
            throw .notStarted(program: "PostgreSQL", reason: reason, logTail: FileTree.tail(of: logPath))
        }
        current.withLock { $0 = process }
    }

    /// Stops the server: connected clients are disconnected, and everything is written unless the stop is immediate.
    ///
    /// An immediate stop is what a crash leaves behind: the next start recovers from the write-ahead log.
    package func stop(isImmediate: Bool = false, until deadline: Deadline = .after(seconds: 30)) {
        let process = current.withLock { current in
            defer { current = nil }
            return current
        }
        process?.terminate(signal: isImmediate ? SIGQUIT : SIGINT, until: deadline)
    }

    /// Runs SQL with `psql` and returns what it printed: unaligned, without headers.
    package func run(sql: String, database: String = "postgres") throws(ServerError) -> String {
        let arguments = [
            try Program.postgres("psql").path(), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
            "-d", connectionString(database: database), "-c", sql,
        ]
        return try ChildProcess.run(arguments)
    }

    /// Makes the cluster beside its place and moves it there, so that a run killed half-way leaves no cluster that cannot start.
    private func makeCluster() throws(ServerError) {
        let unfinished = dataDirectory + ".unfinished"
        FileTree.remove(unfinished)
        try FileTree.makePrivateDirectory(unfinished, owner: user.flatMap { Account(named: $0) } ?? .current)
        var arguments = [
            try Program.postgres("initdb").path(), "-D", unfinished, "--auth-local=trust",
            "--auth-host=reject", "--username=\(options.superuser)", "--encoding=UTF8",
            "--locale=C.UTF-8", "--data-checksums",
        ]
        if !options.isDurable { arguments.append("--no-sync") }
        _ = try ChildProcess.run(arguments, user: user, workingDirectory: "/")
        guard rename(unfinished, dataDirectory) == 0 else {
            throw .system(operation: "rename", path: unfinished, code: errno)
        }
    }

    /// Waits for a server that is still shutting down after its owner was killed; it holds the data directory until then.
    private func waitForPredecessor(until deadline: Deadline) {
        _ = LocalSocket.waitUntil(deadline) {
            guard let pid = readLockFile().pid else { return true }
            return kill(pid, 0) != 0 && errno == ESRCH
        }
    }

    /// Reads `postmaster.pid`, as `pg_ctl` does: its first line is the process, its eighth the state.
    private func readLockFile() -> (pid: pid_t?, state: String) {
        let lines = FileTree.contents(of: dataDirectory + "/postmaster.pid")
            .split(separator: "\n", omittingEmptySubsequences: false)
        let state = lines.count > 7 ? lines[7].prefix { $0 != " " } : ""
        return (lines.first.flatMap { pid_t($0) }, String(state))
    }

    private static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "/"
    }
}
