import PrivateServers
import Threads

/// A job and how often it runs, as systemd's timers do it in a real installation.
package struct JobPeriod: Sendable, Equatable {
    /// The name that `tollgate job` takes.
    package let name: String
    /// From one start to the next.
    package let seconds: Int

    /// All jobs of an installation.
    package static let all = [
        JobPeriod(name: "sweep", seconds: 30), JobPeriod(name: "outbox", seconds: 10),
        JobPeriod(name: "quota-sync", seconds: 300),
        JobPeriod(name: "apikey-sync", seconds: 600), JobPeriod(name: "rollup", seconds: 600),
        JobPeriod(name: "consistency", seconds: 3_600), JobPeriod(name: "prune", seconds: 86_400),
    ]
}

/// Starts the jobs at their periods; one that still runs is not started twice.
final class JobSchedule {
    private struct Entry {
        let period: JobPeriod
        var next: Deadline
        var running: ChildProcess?
        var latest: Deadline = .never
    }

    private let programPath: String
    private let environment: [String: String]
    private let logPath: String
    private var entries: [Entry]

    /// How long a job may run before it is ended.
    private static let runSecondsMax = 600
    private static let stopSeconds = 10

    init(
        _ periods: [JobPeriod], programPath: String, environment: [String: String], logPath: String
    ) {
        self.programPath = programPath
        self.environment = environment
        self.logPath = logPath
        entries = periods.map { Entry(period: $0, next: .after(seconds: $0.seconds)) }
    }

    /// Starts what is due; returns what to tell.
    func runDue() -> [String] {
        var messages: [String] = []
        for index in entries.indices {
            if let process = entries[index].running {
                let name = entries[index].period.name
                if entries[index].latest.isPast {
                    process.terminate(until: .after(seconds: 1))
                    messages.append("job \(name) ran for longer than \(Self.runSecondsMax) s and was ended")
                }
                guard let ending = process.wait(until: .now) else { continue }
                entries[index].running = nil
                if ending != .exited(0) {
                    messages.append("job \(name) failed (\(ending.words)): see \(logPath)")
                }
            }
            guard entries[index].next.isPast else { continue }
            entries[index].next = .after(seconds: entries[index].period.seconds)
            do throws(ServerError) {
                entries[index].running = try ChildProcess(
                    [programPath, "job", entries[index].period.name], environment: environment,
                    logPath: logPath, workingDirectory: "/")
                entries[index].latest = .after(seconds: Self.runSecondsMax)
            } catch {
                messages.append("job \(entries[index].period.name) did not start: \(error)")
            }
        }
        return messages
    }

    /// Ends what runs.
    func stop() {
        for entry in entries {
            entry.running?.terminate(until: .after(seconds: Self.stopSeconds))
        }
    }
}
