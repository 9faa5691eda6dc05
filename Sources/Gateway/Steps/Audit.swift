import Core
package import CoreMetrics
import Dialects
package import Logging
import Observability
import Quota
import Settlement
import Threads

/// One structured log line and the counters of a request, whatever became of it.
///
/// Never fails.
package struct Audit: Step {
    package static let name: StepName = "audit"
    package static var dependsOn: [any Step.Type] { [] }

    private let logger: Logger
    private let metrics: any MetricsFactory

    package init(logger: Logger, metrics: any MetricsFactory) {
        self.logger = logger
        self.metrics = metrics
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        count(context)
        guard logger.logLevel <= .info else { return }
        let sections = context.filledSections
        var line: Logger.Metadata = [
            "trace": "\(context.trace)", "status": .stringConvertible(context.statusSent),
            "latency_ms": .stringConvertible(context.startedAt.elapsedNanoseconds / 1_000_000),
            "capability": "chat", "is_error": .stringConvertible(context.failure != nil),
        ]
        if let request = sections.validation?.request {
            line["model"] = "\(request.model)"
            line["is_stream"] = .stringConvertible(request.stream)
        }
        if let caller = sections.externalAuth?.caller {
            line["tenant"] = "\(caller.tenant.id)"
            line["api_key"] = "\(caller.key.id)"
        }
        if sections.upstreamCall != nil, let selected = sections.routing?.selected {
            line["provider"] = "\(selected.provider.name)"
        }
        if let hold = sections.quotaCheck?.hold {
            // A hold that was given back whole cost nothing.
            let charge = sections.billing?.charge ?? .zero
            line["hold"] = "\(hold.amount)"
            line["total_cost"] = "\(charge)"
            line["currency"] = "USD"
            line["cost_diff"] = "\(hold.amount - charge)"
        }
        if let balance = sections.billing?.balanceAfter { line["balance_after"] = "\(balance)" }
        if let answer = sections.responseTransform {
            line["input_tokens"] = .stringConvertible(answer.usage.promptTotal)
            line["output_tokens"] = .stringConvertible(answer.usage.completionTotal)
            line["usage_source"] = "\(answer.usageSource.rawValue)"
            line["stream_completed"] = .stringConvertible(
                answer.outcome == .complete && sections.upstreamCall?.isStream == true)
            if case .interrupted(let by) = answer.outcome { line["interrupted_by"] = "\(by.rawValue)" }
            if let problem = answer.usageProblem { line["usage_problem"] = "\(problem)" }
        }
        if let failure = context.failure {
            line["error_code"] = "\(failure.code)"
            line["error_source"] = "\(failure.source.rawValue)"
            if !failure.detail.isEmpty { line["error_detail"] = "\(failure.detail)" }
        }
        let level: Logger.Level = context.failure?.source == .gateway ? .error : .info
        logger.log(level: level, "request", metadata: line)
    }

    private func count(_ context: borrowing WorkflowContext) {
        let sections = context.filledSections
        let kind = sections.validation?.request.stream == true ? "stream" : "plain"
        metrics.makeCounter(
            label: "tollgate_requests_total",
            dimensions: [
                ("status", String(context.failure?.status ?? context.statusSent)), ("kind", kind),
                ("code", context.failure?.code ?? ""),
            ]
        ).increment(by: 1)
        if let answer = sections.responseTransform, answer.usageProblem != nil {
            metrics.makeCounter(label: "tollgate_usage_problems_total", dimensions: []).increment(by: 1)
        }
        if let billing = sections.billing, billing.isDurable {
            metrics.makeCounter(label: "tollgate_charged_nanodollars_total", dimensions: [])
                .increment(by: billing.charge.nanodollars)
        }
    }
}
