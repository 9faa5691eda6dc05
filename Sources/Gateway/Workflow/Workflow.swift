package import CoreMetrics
import Dialects
import FastCGI
import Threads

/// A list of steps in the order in which they run, and the way they run.
package struct Workflow: Sendable {
    /// The steps, in order.
    package let steps: [any Step]
    private let last: any Step
    private let timers: [StepTimer]

    private struct StepTimer: Sendable {
        let handler: any TimerHandler
    }

    /// Creates a workflow.
    ///
    /// - Parameters:
    ///   - steps: In any order that suits the reader; each runs after those it needs.
    ///   - last: Runs after all others, whatever happened: it never fails the request.
    ///   - metrics: Where the duration of each step is counted.
    /// - Throws: When a step is missing, doubled, or part of a cycle.
    package init(_ steps: [any Step], last: any Step, metrics: any MetricsFactory) throws(StepOrderError) {
        self.steps = try StepOrder.sorted(steps)
        self.last = last
        timers = (self.steps + [last]).map { step in
            StepTimer(
                handler: metrics.makeTimer(
                    label: "tollgate_step_seconds", dimensions: [("step", step.name.description)]))
        }
    }

    /// Serves one request: runs the steps, and sends what must come last when the charge is durable.
    package func run(_ context: inout WorkflowContext) {
        var done = 0
        do throws(GatewayError) {
            var began = Deadline.now
            for step in steps {
                try step.execute(&context)
                let ended = Deadline.now
                timers[done].handler.recordNanoseconds(ended.nanoseconds - began.nanoseconds)
                began = ended
                done += 1
                // What was answered before needs no other step.
                if context.sections.idempotency?.replayed != nil { break }
            }
            deliver(&context)
        } catch {
            context.failure = error
            for step in steps[..<done].reversed() { step.compensate(&context, after: error) }
            answer(error, &context)
        }
        // The provider's connection goes back before the log is written.
        context.transfer = nil
        let began = Deadline.now
        do throws(GatewayError) { try last.execute(&context) } catch { context.failure = error }
        timers[steps.count].handler.recordNanoseconds(began.elapsedNanoseconds)
    }

    /// Sends a plain answer or an earlier one whole, or the last bytes of a stream, and the end.
    private func deliver(_ context: inout WorkflowContext) {
        let exchange = context.exchange
        if let replayed = context.sections.idempotency?.replayed {
            replayed.write(to: exchange)
            context.statusSent = replayed.status
            context.bytesDelivered = replayed.body.count
        } else if context.upstreamCall.isStream {
            exchange.write(context.responseTransform.terminalBytes)
        } else {
            let answer = context.responseTransform
            var head = AnswerHead(status: 200, contentType: "application/json", context: context)
            head.add("Content-Length", String(answer.body.count))
            head.write(to: exchange)
            exchange.write(answer.body)
            context.statusSent = 200
            context.bytesDelivered = answer.body.count
        }
        // The charge stands whether or not the last bytes arrive; audit notes what became of them.
        do throws(ExchangeError) { try exchange.finish() } catch { context.failure = .clientGone }
    }

    private func answer(_ error: GatewayError, _ context: inout WorkflowContext) {
        guard !error.isClientGone else { return }
        if context.statusSent == 0 {
            ErrorAnswer.write(error, to: context.exchange, trace: context.trace)
            context.statusSent = error.status
        } else {
            // The headers of a stream are gone already, with a keep-alive behind them.
            context.exchange.write(error.client.event)
        }
    }
}
