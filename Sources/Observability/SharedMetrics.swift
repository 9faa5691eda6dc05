import Glibc
import Threads

/// The metrics of all processes that share a directory: each publishes its own there, and whichever is asked adds them up.
///
/// Counters never go back while a process of them lives: what a dead one published last is kept. They begin at zero when the first
/// process comes. Whoever holds the lock on `lock` may touch the files:
///
/// - `NAME.alive` is locked by its process as long as that lives, so that the kernel tells of any death.
/// - `NAME.prom` is what the process published last.
/// - `ended.prom` has the counters of processes that have died, and first of all the names of those that were added last.
/// - `NAME.job` is what a job told when it last ran: it stays until it runs again.
package final class SharedMetrics: Sendable {
    private static let aliveSuffix = ".alive"
    private static let textSuffix = ".prom"
    private static let jobSuffix = ".job"
    private static let addedPrefix = "# added "
    private static let lockSeconds = 2

    private let directory: String
    private let name: String
    private let own: @Sendable () -> String
    private let life: Life

    /// Keeps the lock that says that we live.
    private final class Life: Sendable {
        private let file: LockedFile

        init(_ path: String) throws(SharedMetricsError) {
            file = try LockedFile(path, until: .now)
        }
    }

    /// Joins the processes of a directory.
    ///
    /// - Parameters:
    ///   - directory: Has to exist; nothing else lies in it.
    ///   - own: Writes the metrics of this process, in Prometheus' text format.
    package init(directory: String, own: @escaping @Sendable () -> String) throws(SharedMetricsError) {
        self.directory = directory
        self.own = own
        name = "\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        let lock = try SharedMetrics.lock(directory)
        if try SharedMetrics.processes(directory).allSatisfy({ !SharedMetrics.isAlive($0, directory) }) {
            try SharedMetrics.removeAll(directory)
        }
        life = try Life("\(directory)/\(name)\(Self.aliveSuffix)")
        try addDead()
        _ = consume lock
    }

    /// Lets the others know this process's metrics; to be called each second, and last thing.
    package func publish() throws(SharedMetricsError) {
        let lock = try SharedMetrics.lock(directory)
        try write()
        _ = consume lock
    }

    /// The metrics of all, those of the others as they last published them.
    ///
    /// What is told here was published before, so that it is not lost should this process die now.
    package func merged() throws(SharedMetricsError) -> String {
        let lock = try SharedMetrics.lock(directory)
        try write()
        try addDead()
        var sum = Exposition(MetricsFiles.read(endedPath) ?? "") ?? Exposition()
        for process in try SharedMetrics.processes(directory).sorted() { sum.add(published(by: process)) }
        for name in try MetricsFiles.names(in: directory).sorted() where name.hasSuffix(Self.jobSuffix) {
            sum.add(Exposition(MetricsFiles.read("\(directory)/\(name)") ?? "") ?? Exposition())
        }
        _ = consume lock
        return sum.text
    }

    /// Replaces what a job told before by its metrics, in Prometheus' text format.
    ///
    /// A job runs for moments only, and what it found stays true until it runs again.
    package static func publish(
        _ text: String, ofJob name: String, in directory: String
    ) throws(SharedMetricsError) {
        let lock = try lock(directory)
        try MetricsFiles.write(text, to: "\(directory)/\(name)\(jobSuffix)")
        _ = consume lock
    }

    // MARK: - Under the lock

    private func write() throws(SharedMetricsError) {
        try MetricsFiles.write(own(), to: path(of: name))
    }

    /// Adds the counters of processes that have died to those of `ended.prom`, each once, and removes their files.
    private func addDead() throws(SharedMetricsError) {
        let dead = try SharedMetrics.processes(directory).filter { process in
            process != name && !SharedMetrics.isAlive(process, directory)
        }
        guard !dead.isEmpty else { return }
        let text = MetricsFiles.read(endedPath) ?? ""
        // Whoever added these died before it removed their files.
        let added = text.split(separator: "\n").filter { $0.hasPrefix(Self.addedPrefix) }
            .map { String($0.dropFirst(Self.addedPrefix.count)) }
        var sum = Exposition(text) ?? Exposition()
        for process in dead where !added.contains(process) { sum.add(published(by: process).withoutGauges) }
        let names = dead.map { "\(Self.addedPrefix)\($0)\n" }.joined()
        try MetricsFiles.write(names + sum.text, to: endedPath)
        for process in dead {
            // The text first: without it the process counts nothing, and is found dead once more.
            unlink(path(of: process))
            unlink(path(of: process) + ".new")
            unlink("\(directory)/\(process)\(Self.aliveSuffix)")
        }
    }

    /// What a process published; nothing when it has not yet.
    private func published(by process: String) -> Exposition {
        Exposition(MetricsFiles.read(path(of: process)) ?? "") ?? Exposition()
    }

    private func path(of process: String) -> String { "\(directory)/\(process)\(Self.textSuffix)" }

    private var endedPath: String { "\(directory)/ended\(Self.textSuffix)" }

    private static func lock(_ directory: String) throws(SharedMetricsError) -> LockedFile {
        try LockedFile(directory + "/lock", until: .after(seconds: lockSeconds))
    }

    /// The processes that have joined and whose files are still there.
    private static func processes(_ directory: String) throws(SharedMetricsError) -> [String] {
        try MetricsFiles.names(in: directory).filter { $0.hasSuffix(aliveSuffix) }
            .map { String($0.dropLast(aliveSuffix.count)) }
    }

    private static func isAlive(_ process: String, _ directory: String) -> Bool {
        do throws(SharedMetricsError) {
            _ = try LockedFile("\(directory)/\(process)\(aliveSuffix)", until: .now)
            return false
        } catch {
            return true
        }
    }

    private static func removeAll(_ directory: String) throws(SharedMetricsError) {
        for name in try MetricsFiles.names(in: directory) {
            let isOurs = [aliveSuffix, textSuffix, textSuffix + ".new"].contains { name.hasSuffix($0) }
            if isOurs { unlink("\(directory)/\(name)") }
        }
    }
}
