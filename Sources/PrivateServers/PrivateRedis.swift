import Glibc
package import Threads

/// A Redis server of our own: on a unix socket only, with its append-only file in a directory of its own, ended with us.
package final class PrivateRedis: Sendable {
    /// Where it listens; another path than the wanted one when that is too long for the kernel.
    package let socketPath: String
    /// Where its data is.
    package let directory: String
    /// What the server has to say.
    package let logPath: String

    private let settings: [String: String]
    private let current = Locked<ChildProcess?>(nil)

    /// Starts the server.
    ///
    /// - Parameters:
    ///   - directory: Holds its data, the log and, unless told otherwise, the socket.
    ///   - socketPath: Where to listen.
    ///   - settings: Configuration besides, or instead of, what money needs: `appendonly yes`, `appendfsync everysec`,
    ///     `maxmemory-policy noeviction`.
    package init(
        directory: String, socketPath: String? = nil, settings: [String: String] = [:]
    ) throws(ServerError) {
        let directory = FileTree.absolute(directory)
        let wanted = FileTree.absolute(socketPath ?? directory + "/redis.sock")
        let slash = wanted.lastIndex(of: "/") ?? wanted.startIndex
        let name = String(wanted[wanted.index(after: slash)...])
        let parent = String(wanted[..<slash])
        let sockets = LocalSocket.directory(parent, longestName: name)
        self.directory = directory
        self.socketPath = sockets + "/" + name
        logPath = directory + "/redis.log"
        var all = [
            "port": "0", "unixsocket": self.socketPath, "unixsocketperm": "700", "daemonize": "no",
            "appendonly": "yes", "appendfsync": "everysec", "save": "", "dir": directory,
            "maxmemory-policy": "noeviction",
        ]
        all.merge(settings) { $1 }
        self.settings = all
        try FileTree.makeDirectory(directory, mode: 0o700)
        if sockets == parent {
            try FileTree.makeDirectory(sockets)
        } else {
            try FileTree.makePrivateDirectory(sockets, owner: .current)
        }
        try start()
    }

    deinit {
        stop(isImmediate: true)
    }

    /// The running server; nil while it is stopped.
    package var process: ChildProcess? { current.withLock { $0 } }

    /// Starts the server and waits until it answers; nothing happens when it is running.
    package func start(until deadline: Deadline = .after(seconds: 30)) throws(ServerError) {
        if let process, process.isRunning { return }
        // A server whose owner was killed may still be writing its file.
        let isFree = LocalSocket.waitUntil(min(deadline, .after(seconds: 15))) {
            LocalSocket.answer(path: socketPath, to: "PING\r\n") == nil
        }
        guard isFree else { throw .unusable("another Redis answers at \(socketPath): stop it first") }
        var arguments = [try Program.redisServer.path()]
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) { arguments += ["--\(name)", value] }
        let process = try ChildProcess(arguments, logPath: logPath)
        let isReady = LocalSocket.waitUntil(deadline, while: process) {
            // An answer that is an error is one too: with a password set, PING is refused.
            guard let answer = LocalSocket.answer(path: socketPath, to: "PING\r\n") else { return false }
            return answer.hasPrefix("+PONG") || answer.hasPrefix("-NOAUTH")
        }
        guard isReady else {
            let reason = process.isRunning ? "was not ready in time" : "ended at once"
            process.terminate(until: .after(seconds: 5))
            throw .notStarted(program: "Redis", reason: reason, logTail: FileTree.tail(of: logPath))
        }
        current.withLock { $0 = process }
    }

    /// Stops the server: its file is written and synced, unless the stop is immediate, which is what a crash leaves behind.
    package func stop(isImmediate: Bool = false, until deadline: Deadline = .after(seconds: 10)) {
        let process = current.withLock { current in
            defer { current = nil }
            return current
        }
        process?.terminate(signal: isImmediate ? SIGKILL : SIGTERM, until: deadline)
    }
}
