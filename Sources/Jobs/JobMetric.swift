package import Observability
import Threads

/// A figure that a job tells Prometheus.
package struct JobMetric: Sendable, Equatable {
    /// Its name.
    package let name: String
    /// Its value.
    package let value: Int64
    private let labels: String

    /// Creates a figure; the values of its labels contain neither quotes nor line breaks.
    package init(_ name: String, labels: [(String, String)] = [], _ value: Int64) {
        self.name = name
        self.value = value
        let pairs = labels.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",")
        self.labels = pairs.isEmpty ? "" : "{\(pairs)}"
    }

    fileprivate var line: String { "\(name)\(labels) \(value)\n" }

    /// Replaces what a job told before by these figures, all gauges, and when it ended.
    ///
    /// - Parameter directory: Where the processes of tollgated share their metrics.
    package static func publish(
        _ metrics: [JobMetric], of job: String, in directory: String
    ) throws(SharedMetricsError) {
        let ended = JobMetric(
            "tollgate_job_ended_seconds", labels: [("job", job)], WallClock.unixMilliseconds / 1_000)
        var text = ""
        var typed: Set<String> = []
        for metric in metrics + [ended] {
            if typed.insert(metric.name).inserted { text += "# TYPE \(metric.name) gauge\n" }
            text += metric.line
        }
        try SharedMetrics.publish(text, ofJob: job, in: directory)
    }
}
