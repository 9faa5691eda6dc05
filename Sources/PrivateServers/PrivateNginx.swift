import Glibc
package import Threads

/// An nginx of our own in the foreground, ended with us.
package final class PrivateNginx: Sendable {
    /// What it writes before and besides the logs that its configuration names.
    package let logPath: String

    private let directory: String
    private let configurationPath: String
    private let port: UInt16
    private let current = Locked<ChildProcess?>(nil)

    /// Tests the configuration and starts the server.
    ///
    /// - Parameters:
    ///   - directory: The prefix that relative paths of the configuration are resolved against.
    ///   - configurationPath: The configuration; it must not set `daemon`.
    ///   - port: A loopback port of the configuration that answers once the server is ready.
    package init(directory: String, configurationPath: String, port: UInt16) throws(ServerError) {
        self.directory = FileTree.absolute(directory)
        self.configurationPath = FileTree.absolute(configurationPath)
        self.port = port
        logPath = self.directory + "/nginx.log"
        try FileTree.makeDirectory(self.directory)
        try start()
    }

    deinit {
        stop(until: .after(seconds: 2))
    }

    /// The running server; nil while it is stopped.
    package var process: ChildProcess? { current.withLock { $0 } }

    /// Starts the server and waits until its port answers; nothing happens when it is running.
    package func start(until deadline: Deadline = .after(seconds: 30)) throws(ServerError) {
        if let process, process.isRunning { return }
        try testConfiguration()
        if LocalSocket.answers(port: port) {
            throw .unusable("somebody else listens on 127.0.0.1:\(port): stop it, or choose another port")
        }
        let process = try ChildProcess(try arguments() + ["-g", "daemon off;"], logPath: logPath)
        let isReady = LocalSocket.waitUntil(deadline, while: process) { LocalSocket.answers(port: port) }
        guard isReady else {
            let reason = process.isRunning ? "did not answer on port \(port) in time" : "ended at once"
            process.terminate(until: .after(seconds: 5))
            throw .notStarted(program: "nginx", reason: reason, logTail: FileTree.tail(of: logPath))
        }
        current.withLock { $0 = process }
    }

    /// Takes over a changed configuration without dropping a connection; a wrong one is an error and changes nothing.
    package func reload() throws(ServerError) {
        try testConfiguration()
        process?.send(SIGHUP)
    }

    /// Stops the server: at once, or after the running requests when graceful.
    package func stop(isGraceful: Bool = false, until deadline: Deadline = .after(seconds: 10)) {
        let process = current.withLock { current in
            defer { current = nil }
            return current
        }
        process?.terminate(signal: isGraceful ? SIGQUIT : SIGTERM, until: deadline)
    }

    private func testConfiguration() throws(ServerError) {
        do throws(ServerError) {
            _ = try ChildProcess.run(try arguments() + ["-t", "-q"])
        } catch .notStarted(_, _, let message) {
            throw .configuration(program: "nginx", message: message)
        }
    }

    private func arguments() throws(ServerError) -> [String] {
        [try Program.nginx.path(), "-p", directory + "/", "-c", configurationPath, "-e", "stderr"]
    }
}
