import CLinux
import Glibc
package import Threads

/// A process that this one started, in a process group of its own, with its output in a log file.
///
/// It never outlives us: the kernel signals it when we die, whatever we die of, and dropping the last reference kills it. Only
/// a process that has not been waited for is ever signalled, so an id that the system has given to somebody else is not.
package final class ChildProcess: Sendable {
    /// How a process ended.
    package enum Ending: Sendable, Equatable {
        /// It exited with this status.
        case exited(Int32)
        /// A signal ended it.
        case signalled(Int32)
    }

    /// What the kernel sends the child when we die.
    package enum DeathSignal: String, Sendable {
        case terminate = "TERM"
        case interrupt = "INT"
        case kill = "KILL"
    }

    /// The id of the process, which is that of its group as well.
    package let pid: Int32
    /// Where its standard output and error go.
    package let logPath: String

    private let ending = Locked<Ending?>(nil)
    // A descriptor of the process, readable when it has ended; closed in `deinit`.
    private let descriptor: Int32

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - arguments: The program's absolute path and its arguments.
    ///   - environment: Variables besides those that we have ourselves.
    ///   - logPath: The file to append its output to.
    ///   - deathSignal: What the kernel sends it when we die.
    ///   - user: The user to run as; ours when nil.
    ///   - workingDirectory: Where it starts; our own directory when nil.
    ///   - listening: Sockets to hand over as systemd does it: as descriptors 3 and up, announced in the environment.
    package init(
        _ arguments: [String], environment: [String: String] = [:], logPath: String,
        deathSignal: DeathSignal = .terminate, user: String? = nil, workingDirectory: String? = nil,
        listening: [Int32] = []
    ) throws(ServerError) {
        var prefix = [try Program.setpriv.path(), "--pdeathsig", deathSignal.rawValue]
        if let user {
            guard let account = Account(named: user) else {
                throw .unusable("the machine has no user \(user)")
            }
            prefix += ["--reuid=\(account.userID)", "--regid=\(account.groupID)", "--init-groups"]
        }
        prefix.append("--")
        if !listening.isEmpty {
            // The announcement names the process, whose id nobody knows before it runs.
            let script = "export LISTEN_PID=$$ LISTEN_FDS=\(listening.count); exec \"$@\""
            prefix += ["/bin/sh", "-c", script, "sh"]
        }
        pid = try Spawner.spawn(
            Spawner.Order(
                arguments: prefix + arguments, environment: Self.variables(adding: environment),
                logPath: logPath, workingDirectory: workingDirectory, listening: listening))
        self.logPath = logPath
        descriptor = pidfd_open(pid, 0)
    }

    deinit {
        if isRunning {
            kill(-pid, SIGKILL)
            _ = wait()
        }
        close(descriptor)
    }

    /// Whether it has not ended yet.
    package var isRunning: Bool { reap() == nil }

    /// Waits until the process has ended or the deadline has passed; nil then.
    package func wait(until deadline: Deadline = .never) -> Ending? {
        while true {
            if let ending = reap() { return ending }
            if deadline.isPast { return nil }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, deadline == .never ? -1 : deadline.remainingMilliseconds)
        }
    }

    /// Sends the process a signal; nothing happens when it has ended.
    package func send(_ signal: Int32) {
        ending.withLock { ending in
            if Self.reap(pid, &ending) == nil { kill(pid, signal) }
        }
    }

    /// Ends the process: first with the signal, and with SIGKILL for its whole group once the deadline has passed.
    @discardableResult
    package func terminate(signal: Int32 = SIGTERM, until deadline: Deadline) -> Ending {
        send(signal)
        // A stopped process does not take its signal before it goes on.
        send(SIGCONT)
        if let ending = wait(until: deadline) { return ending }
        ending.withLock { ending in
            if Self.reap(pid, &ending) == nil { kill(-pid, SIGKILL) }
        }
        return wait() ?? .signalled(SIGKILL)
    }

    /// Runs a program to its end and returns what it wrote; another status than 0 is an error with that output.
    package static func run(
        _ arguments: [String], environment: [String: String] = [:], user: String? = nil,
        workingDirectory: String? = nil,
        until deadline: Deadline = .after(seconds: 120)
    ) throws(ServerError) -> String {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            arguments, environment: environment, logPath: directory.path + "/output", deathSignal: .kill,
            user: user, workingDirectory: workingDirectory)
        let ending = process.wait(until: deadline)
        let output = FileTree.contents(of: process.logPath)
        guard ending == .exited(0) else {
            let reason = ending.map { "failed (\($0))" } ?? "did not end in time"
            throw .notStarted(program: arguments[0], reason: reason, logTail: output)
        }
        return output
    }

    private func reap() -> Ending? {
        ending.withLock { Self.reap(pid, &$0) }
    }

    /// Collects the ending if there is one; called under the lock, so that nobody signals the id at the same time.
    private static func reap(_ pid: Int32, _ ending: inout Ending?) -> Ending? {
        var status: Int32 = 0
        guard ending == nil, waitpid(pid, &status, WNOHANG) == pid else { return ending }
        let signal = status & 0x7f
        ending = signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
        return ending
    }

    private static func variables(adding changes: [String: String]) -> [String] {
        var variables = changes.map { "\($0)=\($1)" }
        guard var next = tollgate_environment() else { return variables }
        while let entry = next.pointee {
            let variable = String(cString: entry)
            let name = String(variable.prefix { $0 != "=" })
            if changes[name] == nil { variables.append(variable) }
            next += 1
        }
        return variables
    }
}
