import Glibc
import PrivateServers
import Threads

/// One process of the installation that has to run: how to start, watch and stop it.
struct Part {
    let name: String
    let process: () -> ChildProcess?
    let start: () throws(ServerError) -> Void
    let stop: () -> Void

    private(set) var restarts = 0
    private var startedAt = Deadline.now
    private var waitMilliseconds = Part.firstWaitMilliseconds
    private var nextStart: Deadline?

    private static let firstWaitMilliseconds = 500
    private static let lastWaitMilliseconds = 30_000
    /// After running this long a part has recovered, and the next restart is quick again.
    private static let steadyMilliseconds = 60_000

    init(
        name: String, process: @escaping () -> ChildProcess?,
        start: @escaping () throws(ServerError) -> Void, stop: @escaping () -> Void
    ) {
        self.name = name
        self.process = process
        self.start = start
        self.stop = stop
    }

    /// Whether its process runs.
    var isRunning: Bool { process()?.isRunning ?? false }

    /// Starts it again when it has ended, each time after a longer wait; returns what to tell.
    mutating func keepRunning() -> String? {
        if isRunning { return nil }
        guard let nextStart else {
            if startedAt.advanced(milliseconds: Self.steadyMilliseconds).isPast {
                waitMilliseconds = Self.firstWaitMilliseconds
            }
            nextStart = .after(milliseconds: waitMilliseconds)
            let ending = process()?.wait(until: .now).map { " (\($0.words))" } ?? ""
            // A killed nginx leaves workers that hold its port. The number of their process group is not given to anybody
            // else while one of them lives.
            if let pid = process()?.pid { kill(-pid, SIGKILL) }
            return "\(name) ended\(ending); it starts again in \(waitMilliseconds) ms"
        }
        guard nextStart.isPast else { return nil }
        self.nextStart = nil
        waitMilliseconds = min(waitMilliseconds * 2, Self.lastWaitMilliseconds)
        startedAt = .now
        restarts += 1
        do throws(ServerError) {
            try start()
            return "\(name) runs again"
        } catch {
            return "\(name) did not start: \(error)"
        }
    }
}

extension ChildProcess.Ending {
    /// How it ended, in words.
    var words: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}

/// A program of ours that runs as long as the installation does.
final class Daemon {
    private let arguments: [String]
    private let environment: [String: String]
    private let logPath: String
    private let stopSeconds: Int
    private let listening: [Int32]
    private(set) var process: ChildProcess?

    /// - Parameter listening: Sockets that it is given at each start; they stay the caller's.
    init(
        _ arguments: [String], environment: [String: String], logPath: String, stopSeconds: Int,
        listening: [Int32] = []
    ) {
        self.arguments = arguments
        self.environment = environment
        self.logPath = logPath
        self.stopSeconds = stopSeconds
        self.listening = listening
    }

    func start() throws(ServerError) {
        process = try ChildProcess(
            arguments, environment: environment, logPath: logPath, workingDirectory: "/", listening: listening
        )
    }

    func stop() {
        process?.terminate(until: .after(seconds: stopSeconds))
    }

    /// The daemon as a part of an installation.
    func part(_ name: String) -> Part {
        Part(
            name: name, process: { self.process },
            start: { () throws(ServerError) in try self.start() }, stop: { self.stop() })
    }
}
