import CoreMetrics
import Observability
import Testing
import Threads

@Suite struct PrometheusRegistryTests {
    /// The value of a series in the registry's text; nil when it is not there.
    private func value(_ series: String, of registry: PrometheusRegistry) -> String? {
        registry.text().split(separator: "\n").first { $0.hasPrefix(series + " ") }
            .map { String($0.dropFirst(series.count + 1)) }
    }

    @Test func `counters, gauges and timers are written as Prometheus reads them`() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "b_total", dimensions: [("kind", "plain"), ("code", "")]).increment(by: 3)
        registry.makeCounter(label: "b_total", dimensions: [("kind", "stream"), ("code", "")]).increment(
            by: 4)
        registry.makeCounter(label: "a_total", dimensions: []).increment(by: 1)
        registry.makeRecorder(label: "c", dimensions: [], aggregate: false).record(Int64(-2))
        registry.makeTimer(label: "d_seconds", dimensions: [("step", "x")]).recordNanoseconds(1_500_000)
        let lines = registry.text().split(separator: "\n").map { String($0) }
        #expect(
            lines.prefix(7) == [
                "# TYPE a_total counter", "a_total 1", "# TYPE b_total counter",
                "b_total{kind=\"plain\",code=\"\"} 3",
                "b_total{kind=\"stream\",code=\"\"} 4", "# TYPE c gauge", "c -2.0",
            ])
        #expect(lines[7] == "# TYPE d_seconds histogram")
        #expect(lines.suffix(2) == ["d_seconds_sum{step=\"x\"} 0.0015", "d_seconds_count{step=\"x\"} 1"])
        #expect(lines.filter { $0.hasPrefix("# TYPE b_total") }.count == 1)
        #expect(registry.text().hasSuffix("\n"))
    }

    @Test(arguments: [
        ("quote\"", "quote\\\""), ("back\\slash", "back\\\\slash"), ("line\nbreak", "line\\nbreak"),
        ("\\n", "\\\\n"),
        ("\\\"", "\\\\\\\""), ("é{}=,", "é{}=,"),
        ("a\r\nb", "a\r\\nb"), ("a\"\u{301}b", "a\\\"\u{301}b"),
    ])
    func `labels are escaped`(label: String, escaped: String) {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "a_total", dimensions: [("model", label)]).increment(by: 1)
        #expect(registry.text() == "# TYPE a_total counter\na_total{model=\"\(escaped)\"} 1\n")
    }

    @Test func `the same name and labels are the same series, others are not`() {
        let registry = PrometheusRegistry()
        for _ in 0..<3 { registry.makeCounter(label: "a_total", dimensions: [("k", "x")]).increment(by: 2) }
        registry.makeCounter(label: "a_total", dimensions: [("k", "y")]).increment(by: 5)
        #expect(value("a_total{k=\"x\"}", of: registry) == "6")
        #expect(value("a_total{k=\"y\"}", of: registry) == "5")
    }

    @Test func `a destroyed counter keeps what it counted`() {
        let registry = PrometheusRegistry()
        let counter = registry.makeCounter(label: "a_total", dimensions: [])
        counter.increment(by: 2)
        registry.destroyCounter(counter)
        registry.makeCounter(label: "a_total", dimensions: []).increment(by: 2)
        #expect(value("a_total", of: registry) == "4")
    }

    @Test func `a duration counts in its bucket and all larger ones`() {
        let registry = PrometheusRegistry()
        let timer = registry.makeTimer(label: "t_seconds", dimensions: [])
        // On a bound, a nanosecond above it, and beyond the last bound.
        for duration in [100_000, 100_001, 1_000_000, 200_000_000_000] as [Int64] {
            timer.recordNanoseconds(duration)
        }
        #expect(value("t_seconds_bucket{le=\"0.0001\"}", of: registry) == "1")
        #expect(value("t_seconds_bucket{le=\"0.00025\"}", of: registry) == "2")
        #expect(value("t_seconds_bucket{le=\"0.001\"}", of: registry) == "3")
        #expect(value("t_seconds_bucket{le=\"100.0\"}", of: registry) == "3")
        #expect(value("t_seconds_bucket{le=\"+Inf\"}", of: registry) == "4")
        #expect(value("t_seconds_count", of: registry) == "4")
        #expect(value("t_seconds_sum", of: registry) == "200.001200001")
    }

    @Test func `nothing is lost when many threads count, also while somebody reads`() throws {
        let registry = PrometheusRegistry()
        let threads = try (0..<16).map { thread in
            try WorkerThread(name: "counting") {
                for round in 0..<1_000 {
                    registry.makeCounter(label: "a_total", dimensions: [("k", "\(round % 10)")]).increment(
                        by: 1)
                    registry.makeTimer(label: "t_seconds", dimensions: []).recordNanoseconds(2_000_000)
                    if thread == 0, round % 100 == 0 { _ = registry.text() }
                }
            }
        }
        for thread in threads { thread.join() }
        for label in 0..<10 { #expect(value("a_total{k=\"\(label)\"}", of: registry) == "1600") }
        #expect(value("t_seconds_count", of: registry) == "16000")
        #expect(value("t_seconds_sum", of: registry) == "32.0")
        #expect(value("t_seconds_bucket{le=\"0.002\"}", of: registry) == "16000")
        #expect(value("t_seconds_bucket{le=\"0.001\"}", of: registry) == "0")
    }
}
