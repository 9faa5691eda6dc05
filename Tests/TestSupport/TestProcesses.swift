import FastCGI
import Glibc
package import PrivateServers
import TestTools
import Testing
import Threads

/// Several processes of tollgated behind one socket, as systemd and `tollgate up --processes` run them.
///
/// Each has a socket of its own besides, so that a test can ask a certain one.
package final class TestProcesses: Sendable {
    /// How many there are.
    package let count: Int
    private let directory: String
    private let logDirectory: String
    private let environment: [String: String]
    private let listener: Int32
    private let ownListeners: [Int32]
    private let running = Locked<[Int: ChildProcess]>([:])

    /// Opens the sockets; starts nothing.
    init(
        _ count: Int, socketPath: String, directory: String, logDirectory: String,
        environment: [String: String]
    ) throws {
        self.count = count
        self.directory = directory
        self.logDirectory = logDirectory
        var environment = environment
        environment["TOLLGATE_SOCKET"] = nil
        environment["TOLLGATE_RUNTIME_DIR"] = directory + "/metrics"
        self.environment = environment
        guard mkdir(directory + "/metrics", 0o700) == 0 else { throw TestProcessesError.noDirectory }
        let group = geteuid() == 0 ? getgrnam("www-data")?.pointee.gr_gid : nil
        listener = try UnixListener.open(path: socketPath, mode: 0o660, group: group)
        ownListeners = try (0..<count).map {
            try UnixListener.open(path: "\(directory)/process-\($0).sock", mode: 0o600)
        }
    }

    deinit {
        for process in running.withLock({ $0.values }) {
            process.terminate(signal: SIGKILL, until: .after(seconds: 1))
        }
        for descriptor in ownListeners + [listener] { close(descriptor) }
    }

    /// The process with this number, from 0; nil before it was started.
    package subscript(number: Int) -> ChildProcess? { running.withLock { $0[number] } }

    /// Starts one, and waits until it is ready.
    ///
    /// - Parameter extra: Settings of this start alone.
    package func start(_ number: Int, environment extra: [String: String] = [:]) throws {
        let process = try ChildProcess(
            TestCommand.launcher + [TestGateway.programs + "/tollgated"],
            environment: environment.merging(extra) { $1 }, logPath: logPath(number),
            listening: [listener, ownListeners[number]])
        running.withLock { $0[number] = process }
        let isReady = Eventually.holds {
            !process.isRunning || ask(number, "GET", "/readyz").status == 200
        }
        #expect(isReady && process.isRunning, "process \(number) is not ready: see \(logPath(number))")
    }

    /// Starts all that do not run.
    package func start() throws {
        for number in 0..<count where self[number]?.isRunning != true { try start(number) }
    }

    /// Ends one as `kill -9` does, and waits until it is gone.
    package func kill(_ number: Int) {
        self[number]?.terminate(signal: SIGKILL, until: .after(seconds: 10))
    }

    /// The log of one, all its starts.
    package func logPath(_ number: Int) -> String { "\(logDirectory)/tollgated-\(number).log" }

    /// Asks a certain process, past nginx.
    package func ask(
        _ number: Int, _ method: String, _ path: String, listener: String = "public", key: String? = nil,
        body: String = ""
    ) -> TestHTTP.Answer {
        TestFastCGI.ask(
            "\(directory)/process-\(number).sock", method, path, listener: listener, key: key, body: body)
    }
}

private enum TestProcessesError: Error {
    case noDirectory
}
