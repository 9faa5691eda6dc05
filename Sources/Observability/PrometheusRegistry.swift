package import CoreMetrics
import Synchronization
import Threads

/// Keeps this process's metrics and writes them in Prometheus' text format.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    private struct Name: Hashable, Comparable {
        let label: String
        let dimensions: String

        static func < (left: Name, right: Name) -> Bool {
            (left.label, left.dimensions) < (right.label, right.dimensions)
        }
    }

    private struct Series {
        var counters: [Name: Count] = [:]
        var gauges: [Name: Gauge] = [:]
        var timers: [Name: Histogram] = [:]
    }

    private let series = Locked(Series())

    /// Creates an empty registry.
    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let name = PrometheusRegistry.name(label, dimensions)
        return series.withLock { series in
            if let known = series.counters[name] { return known }
            let made = Count()
            series.counters[name] = made
            return made
        }
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        let name = PrometheusRegistry.name(label, dimensions)
        return series.withLock { series in
            if let known = series.gauges[name] { return known }
            let made = Gauge()
            series.gauges[name] = made
            return made
        }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let name = PrometheusRegistry.name(label, dimensions)
        return series.withLock { series in
            if let known = series.timers[name] { return known }
            let made = Histogram()
            series.timers[name] = made
            return made
        }
    }

    /// Notes a figure that is kept elsewhere: a counter when its name ends in `_total`, otherwise a gauge.
    package func note(_ value: Int64, as label: String) {
        guard label.hasSuffix("_total") else {
            makeRecorder(label: label, dimensions: [], aggregate: false).record(value)
            return
        }
        let name = PrometheusRegistry.name(label, [])
        series.withLock { series in
            let counter = series.counters[name] ?? Count()
            series.counters[name] = counter
            counter.set(value)
        }
    }

    // What was counted stays until the process ends.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// All metrics in Prometheus' text exposition format 0.0.4.
    package func text() -> String {
        let (counters, gauges, timers) = series.withLock { ($0.counters, $0.gauges, $0.timers) }
        var text = ""
        var typed: Set<String> = []
        func line(_ name: Name, type: String, suffix: String = "", extra: String = "", _ value: String) {
            if typed.insert(name.label).inserted { text += "# TYPE \(name.label) \(type)\n" }
            let labels = [name.dimensions, extra].filter { !$0.isEmpty }.joined(separator: ",")
            text += name.label + suffix + (labels.isEmpty ? "" : "{\(labels)}") + " \(value)\n"
        }
        for (name, counter) in counters.sorted(by: { $0.key < $1.key }) {
            line(name, type: "counter", "\(counter.value)")
        }
        for (name, gauge) in gauges.sorted(by: { $0.key < $1.key }) {
            line(name, type: "gauge", "\(gauge.value)")
        }
        for (name, timer) in timers.sorted(by: { $0.key < $1.key }) {
            let snapshot = timer.snapshot()
            for (bound, count) in snapshot.buckets {
                line(name, type: "histogram", suffix: "_bucket", extra: "le=\"\(bound)\"", "\(count)")
            }
            line(name, type: "histogram", suffix: "_bucket", extra: "le=\"+Inf\"", "\(snapshot.count)")
            line(name, type: "histogram", suffix: "_sum", "\(snapshot.sumSeconds)")
            line(name, type: "histogram", suffix: "_count", "\(snapshot.count)")
        }
        return text
    }

    private static func name(_ label: String, _ dimensions: [(String, String)]) -> Name {
        let pairs = dimensions.map { "\($0.0)=\"\(escaped($0.1))\"" }
        return Name(label: label, dimensions: pairs.joined(separator: ","))
    }

    private static func escaped(_ value: String) -> String {
        // Byte by byte: a quote with a combining mark, or the break of two characters, is one character to Swift.
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

private final class Count: CounterHandler {
    private let total = Atomic<Int64>(0)

    var value: Int64 { total.load(ordering: .relaxed) }

    func increment(by amount: Int64) { total.add(amount, ordering: .relaxed) }
    func set(_ value: Int64) { total.store(value, ordering: .relaxed) }
    func reset() { set(0) }
}

private final class Gauge: RecorderHandler {
    private let last = Locked<Double>(0)

    var value: Double { last.withLock { $0 } }

    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { last.withLock { $0 = value } }
}

/// Durations in buckets from 100 µs to 100 s.
private final class Histogram: TimerHandler {
    private static let boundsMicroseconds: [Int64] = [
        100, 250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000,
        5_000_000, 10_000_000, 30_000_000, 100_000_000,
    ]

    private struct State {
        var counts = [Int64](repeating: 0, count: Histogram.boundsMicroseconds.count + 1)
        var sumNanoseconds: Int64 = 0
    }

    private let state = Locked(State())

    func recordNanoseconds(_ duration: Int64) {
        let bucket =
            Histogram.boundsMicroseconds.firstIndex { duration <= $0 * 1_000 }
            ?? Histogram.boundsMicroseconds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sumNanoseconds &+= duration
        }
    }

    func snapshot() -> (buckets: [(bound: String, count: Int64)], count: Int64, sumSeconds: Double) {
        let state = state.withLock { $0 }
        var running: Int64 = 0
        var buckets: [(String, Int64)] = []
        for (bound, count) in zip(Histogram.boundsMicroseconds, state.counts) {
            running += count
            buckets.append(("\(Double(bound) / 1_000_000)", running))
        }
        return (
            buckets, running + state.counts[state.counts.count - 1],
            Double(state.sumNanoseconds) / 1_000_000_000
        )
    }
}
