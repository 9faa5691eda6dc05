import CoreMetrics
import Foundation
import Glibc
import Observability
import PrivateServers
import Testing
import Threads

/// Processes that share their metrics: here each is a registry of its own, and dies when it is let go.
@Suite struct SharedMetricsTests {
    private final class Process {
        let registry = PrometheusRegistry()
        let shared: SharedMetrics

        init(_ directory: TemporaryDirectory) throws {
            let registry = registry
            shared = try SharedMetrics(directory: directory.path) { registry.text() }
        }

        func count(_ amount: Int64, _ label: String = "a_total", kind: String = "x y") {
            registry.makeCounter(label: label, dimensions: [("kind", kind)]).increment(by: amount)
        }

        func value(_ series: String) throws -> String? {
            try shared.merged().split(separator: "\n").first { $0.hasPrefix(series + " ") }
                .map { String($0.dropFirst(series.count + 1)) }
        }
    }

    private let counter = "a_total{kind=\"x y\"}"

    private func files(_ directory: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
    }

    @Test func `counters and buckets of all are added, exactly, whoever is asked`() throws {
        let directory = try TemporaryDirectory()
        let processes = try (0..<3).map { _ in try Process(directory) }
        // Together beyond what a floating-point number holds exactly.
        for (process, amount) in zip(processes, [9_007_199_254_740_993, 2, 4] as [Int64]) {
            process.count(amount)
            process.registry.makeTimer(label: "t_seconds", dimensions: []).recordNanoseconds(250_000_000)
            try process.shared.publish()
        }
        processes[1].count(7, "b_total")
        try processes[1].shared.publish()
        for process in processes {
            #expect(try process.value(counter) == "9007199254740999")
            #expect(try process.value("b_total{kind=\"x y\"}") == "7")
            #expect(try process.value("t_seconds_bucket{le=\"0.1\"}") == "0")
            #expect(try process.value("t_seconds_bucket{le=\"0.25\"}") == "3")
            #expect(try process.value("t_seconds_count") == "3")
            #expect(try process.value("t_seconds_sum") == "0.75")
        }
        let lines = try processes[0].shared.merged().split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("# TYPE a_total ") } == ["# TYPE a_total counter"])
    }

    @Test func `what a job told is told by whoever is asked, until it tells something else`() throws {
        let directory = try TemporaryDirectory()
        func tell(_ value: Int) throws {
            try SharedMetrics.publish(
                "# TYPE drift gauge\ndrift{tenant=\"a\"} \(value)\n", ofJob: "check", in: directory.path)
        }
        try tell(3)
        var first: Process? = try Process(directory)
        let second = try Process(directory)
        for process in [first, second] { #expect(try process?.value("drift{tenant=\"a\"}") == "3") }
        first = nil
        try tell(-4)
        #expect(try second.value("drift{tenant=\"a\"}") == "-4")
    }

    @Test func `of gauges there is the sum, of largest ones the largest`() throws {
        let directory = try TemporaryDirectory()
        let processes = try (0..<2).map { _ in try Process(directory) }
        for (process, value) in zip(processes, [3, 5] as [Int64]) {
            process.registry.note(value, as: "workers")
            process.registry.note(value, as: "rows_max")
            process.registry.note(value, as: "served_total")
            try process.shared.publish()
        }
        #expect(try processes[0].value("workers") == "8.0")
        #expect(try processes[0].value("rows_max") == "5.0")
        #expect(try processes[0].value("served_total") == "8")
    }

    @Test func `what a dead process counted stays, once, and its gauges go`() throws {
        let directory = try TemporaryDirectory()
        let living = try Process(directory)
        living.count(1)
        for number in 1...5 {
            var dying: Process? = try Process(directory)
            dying?.count(10)
            dying?.registry.note(4, as: "workers")
            try dying?.shared.publish()
            #expect(try living.value("workers") == "4.0")
            dying = nil
            for _ in 0..<2 { #expect(try living.value(counter) == "\(1 + 10 * number)") }
            #expect(try living.value("workers") == nil)
        }
        // One file and one lock of the living, those of all, and no more however many have died.
        #expect(try files(directory).count == 4)
    }

    @Test func `a death between the adding and the removing counts nothing twice`() throws {
        let directory = try TemporaryDirectory()
        let living = try Process(directory)
        var dying: Process? = try Process(directory)
        dying?.count(10)
        try dying?.shared.publish()
        dying = nil
        let left = try files(directory).filter { $0.hasSuffix(".prom") || $0.hasSuffix(".alive") }
        let contents = try left.map { try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + $0)) }
        #expect(try living.value(counter) == "10")
        // As if whoever added it had died before it could remove the files.
        let removed = zip(left, contents).filter { name, _ in
            access(directory.path + "/" + name, F_OK) != 0
        }
        #expect(removed.count == 2)
        for (name, data) in removed { try data.write(to: URL(fileURLWithPath: directory.path + "/" + name)) }
        #expect(try living.value(counter) == "10")
        #expect(try living.value(counter) == "10")
        #expect(try files(directory).count == 4)
    }

    @Test func `what was told once is never taken back`() throws {
        let directory = try TemporaryDirectory()
        let living = try Process(directory)
        var dying: Process? = try Process(directory)
        var told: Int64 = 0
        for _ in 0..<20 {
            dying?.count(3)
            // Asked, and never published otherwise.
            told = try #require(try dying?.value(counter).flatMap { Int64($0) })
        }
        dying = nil
        #expect(told == 60)
        #expect(try living.value(counter) == "60")
    }

    @Test func `counters begin at zero when the first process comes, not with a further one`() throws {
        let directory = try TemporaryDirectory()
        var first: Process? = try Process(directory)
        first?.count(5)
        try first?.shared.publish()
        var second: Process? = try Process(directory)
        #expect(try second?.value(counter) == "5")
        first = nil
        #expect(try second?.value(counter) == "5")
        second = nil
        #expect(try Process(directory).value(counter) == nil)
    }

    @Test func `rubbish of another hand does no harm`() throws {
        let directory = try TemporaryDirectory()
        let living = try Process(directory)
        living.count(2)
        for (name, text) in [
            ("9-a.prom", "a_total"), ("9-a.alive", ""), ("9-b.alive", ""), ("x.prom.new", ""),
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: directory.path + "/" + name))
        }
        #expect(try living.value(counter) == "2")
    }

    @Test func `nothing is told while somebody else keeps the lock`() throws {
        let directory = try TemporaryDirectory()
        let process = try Process(directory)
        let path = directory.path + "/lock"
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        #expect(flock(descriptor, LOCK_EX) == 0)
        #expect(throws: SharedMetricsError.busy(path: path)) { try process.shared.merged() }
        close(descriptor)
        process.count(1)
        #expect(try process.value(counter) == "1")
    }

    @Test func `a directory that is not there is an error`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/none"
        #expect(throws: SharedMetricsError.self) { try SharedMetrics(directory: path) { "" } }
    }

    @Test func `nothing is lost when many threads publish and ask at once`() throws {
        let directory = try TemporaryDirectory()
        let processes = try (0..<4).map { _ in try Process(directory) }
        let shared = processes.map(\.shared)
        let registries = processes.map(\.registry)
        let threads = try shared.indices.map { index in
            try WorkerThread(name: "process") {
                for round in 0..<50 {
                    registries[index].makeCounter(label: "a_total", dimensions: [("kind", "x y")])
                        .increment(by: 1)
                    // A failure shows in the sum.
                    if round.isMultiple(of: 2) {
                        try? shared[index].publish()
                    } else {
                        _ = try? shared[index].merged()
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(try processes[0].value(counter) == "200")
    }
}
