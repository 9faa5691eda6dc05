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
    /// The logger's handler, when it takes a record without metadata.
    private let lines: JSONLogHandler?
    private let counters: RequestCounters

    package init(logger: Logger, metrics: any MetricsFactory) {
        self.logger = logger
        lines = logger.handler as? JSONLogHandler
        counters = RequestCounters(metrics)
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        counters.count(context)
        let level: Logger.Level = context.failure?.source == .gateway ? .error : .info
        guard logger.logLevel <= level else { return }
        let fields = AuditFields(
            trace: context.trace, status: context.statusSent,
            latencyMilliseconds: context.startedAt.elapsedNanoseconds / 1_000_000, failure: context.failure,
            sections: context.sections)
        if let lines {
            lines.log(level: level, message: "request", fields)
        } else {
            logger.log(level: level, "request", metadata: ["request": .stringConvertible(fields)])
        }
    }
}

/// What the log says of one request.
private struct AuditFields: LogFields {
    let trace: TraceID
    let status: Int
    let latencyMilliseconds: Int64
    let failure: GatewayError?
    let sections: ContextSections

    func write(to line: inout LogLine) {
        trace.withUTF8 { line.add("trace", plain: $0) }
        line.add("status", status)
        line.add("latency_ms", latencyMilliseconds)
        line.add("capability", "chat")
        line.add("is_error", failure != nil)
        if let validation = sections.validation {
            line.add("model", validation.request.model)
            line.add("is_stream", validation.request.stream)
        }
        if let auth = sections.externalAuth {
            line.add("tenant", auth.caller.tenant.id.description)
            line.add("api_key", auth.caller.key.id.description)
        }
        if let replayed = sections.idempotency?.replayed { line.add("replayed", replayed.trace.description) }
        if sections.upstreamCall != nil, let routing = sections.routing {
            line.add("provider", routing.selected.provider.name)
        }
        if let hold = sections.quotaCheck?.hold { write(hold, to: &line) }
        if let answer = sections.responseTransform { write(answer, to: &line) }
        if let failure {
            line.add("error_code", failure.code)
            line.add("error_source", failure.source.rawValue)
            if !failure.detail.isEmpty { line.add("error_detail", failure.detail) }
        }
    }

    private func write(_ hold: Hold, to line: inout LogLine) {
        // A hold that was given back whole cost nothing.
        let charge = sections.billing?.charge ?? .zero
        line.add("hold", hold.amount)
        line.add("total_cost", charge)
        line.add("currency", "USD")
        line.add("cost_diff", hold.amount - charge)
        if let balance = sections.billing?.balanceAfter { line.add("balance_after", balance) }
    }

    private func write(_ answer: ResponseTransformSection, to line: inout LogLine) {
        line.add("input_tokens", answer.usage.promptTotal)
        line.add("output_tokens", answer.usage.completionTotal)
        line.add("usage_source", answer.usageSource.rawValue)
        line.add(
            "stream_completed", answer.outcome == .complete && sections.upstreamCall?.isStream == true)
        if case .interrupted(let by) = answer.outcome { line.add("interrupted_by", by.rawValue) }
        if let problem = answer.usageProblem { line.add("usage_problem", problem) }
    }
}

extension LogLine {
    fileprivate mutating func add(_ key: StaticString, _ amount: Money) {
        amount.withUTF8 { add(key, plain: $0) }
    }
}
