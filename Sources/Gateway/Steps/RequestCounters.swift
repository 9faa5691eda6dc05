import Core
import CoreMetrics
import Dialects

/// Counts requests by what became of them, and what they were charged.
struct RequestCounters: Sendable {
    private let metrics: any MetricsFactory
    // Those of nearly every request are looked up once.
    private let plain: any CounterHandler
    private let streamed: any CounterHandler
    private let charged: any CounterHandler
    private let usageProblems: any CounterHandler
    private let replays: any CounterHandler

    init(_ metrics: any MetricsFactory) {
        self.metrics = metrics
        plain = RequestCounters.requests(metrics, status: 200, isStream: false, code: "")
        streamed = RequestCounters.requests(metrics, status: 200, isStream: true, code: "")
        charged = metrics.makeCounter(label: "tollgate_charged_nanodollars_total", dimensions: [])
        replays = metrics.makeCounter(label: "tollgate_replays_total", dimensions: [])
        usageProblems = metrics.makeCounter(label: "tollgate_usage_problems_total", dimensions: [])
    }

    /// Counts one request that is over.
    func count(_ context: borrowing WorkflowContext) {
        let isStream = context.sections.validation?.request.stream == true
        if let failure = context.failure {
            RequestCounters.requests(
                metrics, status: failure.status, isStream: isStream, code: failure.code
            ).increment(by: 1)
        } else if context.statusSent == 200 {
            (isStream ? streamed : plain).increment(by: 1)
        } else {
            RequestCounters.requests(metrics, status: context.statusSent, isStream: isStream, code: "")
                .increment(by: 1)
        }
        if context.sections.responseTransform?.usageProblem != nil { usageProblems.increment(by: 1) }
        if context.sections.idempotency?.replayed != nil { replays.increment(by: 1) }
        if let billing = context.sections.billing, billing.isDurable {
            charged.increment(by: billing.charge.nanodollars)
        }
    }

    private static func requests(
        _ metrics: any MetricsFactory, status: Int, isStream: Bool, code: String
    ) -> any CounterHandler {
        metrics.makeCounter(
            label: "tollgate_requests_total",
            dimensions: [
                ("status", String(status)), ("kind", isStream ? "stream" : "plain"), ("code", code),
            ])
    }
}
