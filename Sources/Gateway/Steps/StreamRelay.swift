import Core
import Dialects
import FastCGI
import HTTPClient
import Settlement

/// One stream on its way from the provider to the client.
struct StreamRelay: ~Copyable {
    /// Why relaying ended.
    private enum End {
        case done
        case interrupted(Interruption, GatewayError)
    }

    private let exchange: Exchange
    private let provider: String
    private let showsUsage: Bool
    private let keepAliveMilliseconds: Int
    private let inputEstimate: Int64
    private let checkpoint: CheckpointSlot
    private let checkpoints: StreamCheckpoints
    private var parser = EventStreamParser()
    private var reader = ChatStreamReader()
    private var observed = ObservedUsage()
    private var received: [UInt8] = []
    private var outgoing: [UInt8] = []

    init(
        _ context: borrowing WorkflowContext, checkpoints: StreamCheckpoints, keepAliveMilliseconds: Int
    ) {
        let request = context.validation.request
        let selected = context.routing.selected
        exchange = context.exchange
        provider = selected.provider.name
        showsUsage = request.includeUsage
        self.keepAliveMilliseconds = keepAliveMilliseconds
        self.checkpoints = checkpoints
        inputEstimate = ObservedUsage.inputTokens(of: request)
        checkpoint = CheckpointSlot(
            tenant: context.quotaCheck.hold.tenant, trace: context.trace, providerModelID: selected.id,
            priceVersion: selected.price?.version ?? 0, inputTokens: inputEstimate)
        received.reserveCapacity(16 * 1024)
        outgoing.reserveCapacity(16 * 1024)
    }

    /// Relays until the stream ends; fails only when the client has seen nothing of the answer.
    mutating func run(
        _ transfer: inout HTTPTransfer, _ context: inout WorkflowContext
    ) -> Result<ResponseTransformSection, GatewayError> {
        let end = relay(&transfer, &context)
        let wasCheckpointed = checkpoints.end(checkpoint)
        switch end {
        case .interrupted(_, let error) where context.bytesDelivered == 0: return .failure(error)
        case .done:
            if context.bytesDelivered == 0 { writeHead(&context) }
            return .success(section(.complete, ChatStreamEvent.done, wasCheckpointed))
        case .interrupted(let by, let error):
            let last = by == .client ? [] : error.client.event
            return .success(section(.interrupted(by: by), last, wasCheckpointed))
        }
    }

    private func section(
        _ outcome: AnswerOutcome, _ terminalBytes: [UInt8], _ wasCheckpointed: Bool
    ) -> ResponseTransformSection {
        let usage = reader.usage.map { Usage($0) }
        let counted = Usage(input: inputEstimate, output: observed.outputTokens)
        let source: UsageSource = usage != nil ? .provider : outcome == .complete ? .estimated : .observed
        var section = ResponseTransformSection(
            outcome: outcome, usage: usage ?? counted, usageSource: source, terminalBytes: terminalBytes,
            isCheckpointed: wasCheckpointed)
        if usage == nil, outcome == .complete {
            section.usageProblem = reader.usageError.map { "\($0)" } ?? "no usage reported"
        }
        return section
    }

    private mutating func relay(_ transfer: inout HTTPTransfer, _ context: inout WorkflowContext) -> End {
        while true {
            received.removeAll(keepingCapacity: true)
            do throws(HTTPClientError) {
                switch try transfer.read(into: &received, idleMilliseconds: keepAliveMilliseconds) {
                case .data: received.withUnsafeBytes { parser.append($0) }
                case .end: parser.finish()
                case .idle:
                    if context.statusSent == 0 { writeHead(&context) }
                    exchange.write(ChatStreamEvent.keepAlive)
                    guard isFlushed() else { return .interrupted(.client, .clientGone) }
                    continue
                }
            } catch {
                return interrupted(by: error)
            }
            if let end = relayEvents(&context) { return end }
            if received.isEmpty {
                // The body ended without `[DONE]`: a provider that says why its last choice ended has finished all the same.
                return reader.finishReason != nil
                    ? .done
                    : .interrupted(.provider, .upstreamGarbage(provider: provider, "stream ended early"))
            }
        }
    }

    private func interrupted(by error: HTTPClientError) -> End {
        let failure = GatewayError(error, provider: provider, exchange: exchange)
        guard case .watchedDescriptor(let descriptor) = error else { return .interrupted(.provider, failure) }
        return .interrupted(descriptor == exchange.shutdownDescriptor ? .shutdown : .client, failure)
    }

    /// Relays the events that are complete, in one flush; nil while the stream goes on.
    private mutating func relayEvents(_ context: inout WorkflowContext) -> End? {
        outgoing.removeAll(keepingCapacity: true)
        var end: End?
        do throws(EventStreamError) {
            while end == nil, let event = try parser.next() {
                let chunk = parser.withData(of: event) { reader.read($0) }
                observed.count(chunk)
                switch chunk.kind {
                case .done: end = .done
                case .error: end = .interrupted(.provider, providerFailure())
                case .usageOnly where !showsUsage: continue
                case .choices, .usageOnly: parser.appendWire(of: event, to: &outgoing)
                case .invalid:
                    end = .interrupted(
                        .provider, .upstreamGarbage(provider: provider, "an event is not JSON"))
                }
            }
        } catch {
            end = .interrupted(.provider, .upstreamGarbage(provider: provider, "\(error)"))
        }
        guard !outgoing.isEmpty else { return end }
        if context.statusSent == 0 { writeHead(&context) }
        if context.bytesDelivered == 0 { checkpoints.begin(checkpoint) }
        checkpoint.update(outputTokens: observed.outputTokens)
        exchange.write(outgoing)
        context.bytesDelivered += outgoing.count
        guard isFlushed() else { return .interrupted(.client, .clientGone) }
        return end
    }

    private func providerFailure() -> GatewayError {
        .upstreamStatus(
            500, provider: provider, retryAfterSeconds: nil,
            detail: reader.providerError?.message ?? "error event")
    }

    private func isFlushed() -> Bool {
        // Why the client cannot be reached any more makes no difference here.
        (try? exchange.flush()) != nil
    }

    private func writeHead(_ context: inout WorkflowContext) {
        guard context.statusSent == 0 else { return }
        var head = AnswerHead(status: 200, contentType: "text/event-stream; charset=utf-8", context: context)
        head.add("Cache-Control", "no-cache")
        head.add("X-Accel-Buffering", "no")
        head.write(to: exchange)
        context.statusSent = 200
    }
}
