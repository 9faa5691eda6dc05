import Glibc
import HTTPClient
import Threads

/// How large batches were: items over batches, and the largest.
package struct BatchSize: Sendable {
    /// Items in a batch on average; nil when there were no batches.
    package let average: Double?
    /// The largest since the process began.
    package let largest: Int64
}

/// What an installation did and used while a load ran.
package struct Observation: Sendable {
    /// Processor time of each part, in microseconds.
    package let cpu: [(part: String, microseconds: Int64)]
    /// The most memory that tollgated had; nil when it cannot be seen.
    package let memoryPeak: MemoryFigures?
    /// Redis calls in one write; nil when no metrics are to be had.
    package let redisBatch: BatchSize?
    /// Rows in one commit of the ledger.
    package let ledgerBatch: BatchSize?
}

/// Watches the processes and the metrics of an installation.
package struct Observer: Sendable {
    private let processes: [ProcessGroup]
    private let adminURL: String?
    /// How the load generator, this process and what it starts, is called.
    package static let ownName = "load generator"
    /// How everything else on the machine is called: what is measured beside much of it is worth little.
    package static let othersName = "others"
    private static let sampleMilliseconds = 250

    /// Creates an observer.
    ///
    /// - Parameters:
    ///   - processes: The parts of the installation.
    ///   - adminURL: Where its `/metrics` are; nil when they cannot be reached.
    package init(processes: [ProcessGroup], adminURL: String?) {
        self.processes = processes
        self.adminURL = adminURL
    }

    private final class Running<Value: Sendable>: Sendable {
        let result = Locked<Result<Value, BenchError>?>(nil)
        let end = Signal()
    }

    /// The memory of tollgated now.
    package var memory: MemoryFigures? {
        ProcessTable().memory(of: processes.filter(\.isResponder))
    }

    /// Runs a load on a thread of its own and watches meanwhile.
    func watch<Value: Sendable>(
        _ load: @escaping @Sendable () throws(BenchError) -> Value
    ) throws(BenchError) -> (Value, Observation) {
        let running = Running<Value>()
        let metrics = try adminURL.map { url throws(BenchError) in try Metrics(of: url) }
        let before = cpu()
        do throws(WorkerThread.CreationError) {
            _ = try WorkerThread(name: "load", isDetached: true) {
                let result = Result<Value, BenchError> { () throws(BenchError) in try load() }
                running.result.withLock { $0 = result }
                running.end.wake()
            }
        } catch {
            throw .failed("cannot start a thread: \(error)")
        }
        var peak = memory
        var hasEnded = false
        while !hasEnded {
            hasEnded = running.end.wait(until: .after(milliseconds: Self.sampleMilliseconds))
            if let memory { peak = max(peak ?? memory, memory) }
        }
        let after = cpu()
        guard let value = try running.result.withLock({ $0 })?.get() else {
            preconditionFailure("a load that has ended has a result")
        }
        let later = try adminURL.map { url throws(BenchError) in try Metrics(of: url) }
        let used = zip(before, after).map {
            (part: $0.part, microseconds: max(0, $1.microseconds - $0.microseconds))
        }
        return (
            value,
            Observation(
                cpu: used, memoryPeak: peak,
                redisBatch: Metrics.size(
                    metrics, later, batches: "tollgate_redis_writes", items: "tollgate_redis_calls"),
                ledgerBatch: Metrics.size(
                    metrics, later, batches: "tollgate_ledger_commits", items: "tollgate_ledger_rows"))
        )
    }

    private func cpu() -> [(part: String, microseconds: Int64)] {
        let table = ProcessTable()
        let parts = processes.map { (part: $0.name, microseconds: table.cpuMicroseconds(of: $0)) }
        let known = parts + [(Self.ownName, Self.ownMicroseconds)]
        let others = ProcessTable.machineMicroseconds - known.reduce(0) { $0 + $1.microseconds }
        return known + [(Self.othersName, others)]
    }

    private static var ownMicroseconds: Int64 {
        [RUSAGE_SELF, RUSAGE_CHILDREN].reduce(0) { sum, who in
            var usage = rusage()
            getrusage(who.rawValue, &usage)
            let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
            return sum + Int64(seconds * 1_000_000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        }
    }
}

/// Figures of tollgated at one moment.
struct Metrics {
    private var values: [Substring: Double] = [:]

    /// Asks an admin server.
    init(of adminURL: String) throws(BenchError) {
        let url = adminURL + "/metrics"
        let answer = try Web.answer(to: HTTPRequest(method: "GET", url: url))
        guard answer.status == 200 else {
            throw .refused(url: url, status: answer.status, message: "these are no metrics")
        }
        self.init(text: String(decoding: answer.body, as: UTF8.self))
    }

    /// Reads Prometheus' text format; series with labels are left out.
    init(text: String) {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            if words.count == 2, let value = Double(words[1]) { values[words[0]] = value }
        }
    }

    subscript(name: String) -> Double { values[Substring(name)] ?? 0 }

    /// How large the batches between two moments were.
    static func size(_ before: Metrics?, _ after: Metrics?, batches: String, items: String) -> BatchSize? {
        guard let before, let after else { return nil }
        let count = after[batches + "_total"] - before[batches + "_total"]
        return BatchSize(
            average: count > 0 ? (after[items + "_total"] - before[items + "_total"]) / count : nil,
            largest: Int64(after[items + "_max"]))
    }
}
