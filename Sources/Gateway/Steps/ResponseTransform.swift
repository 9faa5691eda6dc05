import Core
import Dialects
import FastCGI
import HTTPClient
import JSON
import Ledger
package import Settlement

/// Drives the provider's answer: relays its events as they come, and ends in an outcome and a usage.
///
/// From the first byte of the answer to the client on nothing throws: whoever ends the stream early, what was delivered is charged.
package struct ResponseTransform: Step {
    package static let name: StepName = "response_transform"
    package static var dependsOn: [any Step.Type] {
        [
            UpstreamCall.self, QuotaCheck.self, RoutingStep.self, Idempotency.self, ExternalAuth.self,
            Validation.self,
        ]
    }

    private let settlement: SettlementEngine
    private let lease: OwnerLease
    private let checkpoints: StreamCheckpoints
    private let answerBytesMax: Int
    private let keptBytesMax: Int
    private let keepAliveMilliseconds: Int

    /// Creates the step.
    ///
    /// - Parameters:
    ///   - answerBytesMax: The largest plain answer.
    ///   - keptBytesMax: The largest answer that is kept for whoever asks again under the same idempotency key.
    ///   - keepAliveMilliseconds: After how much silence of the provider a comment goes to the client.
    package init(
        settlement: SettlementEngine, lease: OwnerLease, checkpoints: StreamCheckpoints, answerBytesMax: Int,
        keptBytesMax: Int, keepAliveMilliseconds: Int
    ) {
        self.lease = lease
        self.settlement = settlement
        self.keptBytesMax = keptBytesMax
        self.checkpoints = checkpoints
        self.answerBytesMax = answerBytesMax
        self.keepAliveMilliseconds = keepAliveMilliseconds
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        guard var transfer = context.transfer.take() else {
            preconditionFailure("upstream_call leaves a transfer or fails")
        }
        if context.upstreamCall.isStream {
            var relay = StreamRelay(
                context, funds: StreamFunds(context, settlement: settlement), lease: lease,
                checkpoints: checkpoints, keptBytesMax: keptBytesMax,
                keepAliveMilliseconds: keepAliveMilliseconds)
            let result = relay.run(&transfer, &context)
            context.responseTransform = try result.get()
        } else {
            var answer = try readPlain(&transfer, context)
            if context.idempotency.claim != nil {
                let body = answer.body.count <= keptBytesMax ? answer.body : nil
                answer.kept = StoredAnswer(status: 200, contentType: "application/json", body: body)
            }
            context.responseTransform = answer
        }
    }

    private func readPlain(
        _ transfer: inout HTTPTransfer, _ context: borrowing WorkflowContext
    ) throws(GatewayError) -> ResponseTransformSection {
        let selected = context.routing.selected.provider
        let provider = selected.name
        let body: [UInt8]
        do throws(HTTPClientError) {
            body = try transfer.readAll(bytesMax: answerBytesMax)
        } catch {
            throw GatewayError(error, provider: provider, exchange: context.exchange)
        }
        let answer: ChatAnswer
        do throws(JSONError) {
            answer = try ChatAnswer(body)
        } catch {
            throw .upstreamGarbage(provider: provider, "\(error)")
        }
        if let error = answer.providerError {
            throw .upstreamStatus(
                500, provider: provider, retryAfterSeconds: nil, detail: selected.redacted(error.message))
        }
        let isBelievable = answer.usage.map { $0.completionTokens > 0 || !answer.hasBillableOutput } ?? false
        guard isBelievable, let report = answer.usage else {
            let seen = ObservedUsage.tokens(bytes: Int64(answer.delivered.bytes))
            let estimate = Usage(
                input: ObservedUsage.inputTokens(of: context.validation.request), output: seen)
            let problem = answer.usageError.map { "\($0)" }
            return ResponseTransformSection(
                outcome: .complete, usage: estimate, usageSource: .estimated,
                usageProblem: problem
                    ?? (answer.usage == nil ? "no usage reported" : "no output tokens reported"),
                body: body)
        }
        return ResponseTransformSection(
            outcome: .complete, usage: Usage(report), usageSource: .provider, usageProblem: report.oddity,
            body: body)
    }
}
