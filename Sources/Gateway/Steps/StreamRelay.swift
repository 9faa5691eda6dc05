import Core
import Dialects
import FastCGI
import HTTPClient
import Settlement
import Threads

/// One stream on its way from the provider to the client.
struct StreamRelay: ~Copyable {
    /// Why relaying ended.
    private enum End {
        case done
        /// There is no money for more.
        case exhausted
        case interrupted(Interruption, GatewayError)
    }

    /// What a client that leaves after the answer's last words is waited for: the provider's usage comes right behind them.
    private static let usageWaitMilliseconds = 2_000
    private static let usageBytesMax = 256 * 1_024

    private let exchange: Exchange
    private let provider: Provider
    private let showsUsage: Bool
    private let answers: Int
    private let keepAliveMilliseconds: Int
    private let inputEstimate: Int64
    private let checkpoint: CheckpointSlot
    private let checkpoints: StreamCheckpoints
    private var parser = EventStreamParser()
    private var reader = ChatStreamReader()
    private var observed = ObservedUsage()
    /// What the client got, where it may ask again.
    private var kept: KeptAnswer?
    /// Whether the client has left while its answer is still wanted.
    private var isClientGone = false
    private var funds: StreamFunds
    private let lease: OwnerLease
    private var received: [UInt8] = []
    private var outgoing: [UInt8] = []

    init(
        _ context: borrowing WorkflowContext, funds: StreamFunds, lease: OwnerLease,
        checkpoints: StreamCheckpoints, keptBytesMax: Int, keepAliveMilliseconds: Int
    ) {
        kept = context.idempotency.claim == nil ? nil : KeptAnswer(bytesMax: keptBytesMax)
        let request = context.validation.request
        let selected = context.routing.selected
        exchange = context.exchange
        provider = selected.provider
        showsUsage = request.includeUsage
        answers = request.n
        self.funds = funds
        self.lease = lease
        self.keepAliveMilliseconds = keepAliveMilliseconds
        self.checkpoints = checkpoints
        inputEstimate = ObservedUsage.inputTokens(of: request)
        checkpoint = CheckpointSlot(
            tenant: context.quotaCheck.hold.tenant, trace: context.trace, providerModelID: selected.id,
            priceVersion: selected.price?.version ?? 0, inputTokens: inputEstimate)
        // Some events; what comes in larger pieces makes them larger.
        received.reserveCapacity(1_024)
        outgoing.reserveCapacity(1_024)
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
            var section = section(.complete, ChatStreamEvent.done, wasCheckpointed)
            section.kept = kept.take()?.finished(ChatStreamEvent.done, contentType: EventStream.contentType)
            return .success(section)
        case .exhausted:
            if context.bytesDelivered == 0 { writeHead(&context) }
            let (usage, _, _) = used(.interrupted(by: .money))
            let last = reader.cutOff(
                answers: answers, usage: showsUsage ? (usage.promptTotal, usage.completionTotal) : nil)
            // Its client has a whole answer, if a short one.
            var section = section(.interrupted(by: .money), last, wasCheckpointed)
            section.kept = kept.take()?.finished(last, contentType: EventStream.contentType)
            return .success(section)
        case .interrupted(let by, let error):
            let last = by == .client ? [] : error.client.event
            return .success(section(.interrupted(by: by), last, wasCheckpointed))
        }
    }

    private func section(
        _ outcome: AnswerOutcome, _ terminalBytes: [UInt8], _ wasCheckpointed: Bool
    ) -> ResponseTransformSection {
        let (usage, source, problem) = used(outcome)
        return ResponseTransformSection(
            outcome: outcome, usage: usage, usageSource: source, usageProblem: problem,
            hasBillableOutput: reader.hasBillableOutput || usage.completionTotal > 0,
            terminalBytes: terminalBytes,
            isCheckpointed: wasCheckpointed)
    }

    /// What the answer used, how that is known, and what is odd about the provider's own numbers.
    ///
    /// Some providers report usage with every chunk, or the prompt's at the beginning: a stream that ends early is charged for no
    /// less than what was seen of it.
    private func used(_ outcome: AnswerOutcome) -> (Usage, UsageSource, String?) {
        let seen = observed.outputTokens
        guard let report = reader.usage else {
            let counted = Usage(input: inputEstimate, output: seen)
            guard outcome == .complete else { return (counted, .observed, nil) }
            return (counted, .estimated, reader.usageError.map { "\($0)" } ?? "no usage reported")
        }
        var usage = Usage(report)
        let missing = seen - usage.completionTotal
        if outcome == .complete {
            guard usage.completionTotal == 0, missing > 0 else { return (usage, .provider, report.oddity) }
            usage.output += missing
            return (usage, .estimated, "no output tokens reported")
        }
        guard missing > 0 else { return (usage, .provider, report.oddity) }
        usage.output += missing
        return (usage, .observed, nil)
    }

    private mutating func relay(_ transfer: inout HTTPTransfer, _ context: inout WorkflowContext) -> End {
        swap(&received, &context.firstBytes)
        if !received.isEmpty {
            received.withUnsafeBytes { parser.append($0) }
            if let end = relayEvents(&context) { return finished(end, &transfer) }
        }
        var silentMilliseconds = 0
        while true {
            guard lease.isHeld else { return finished(.interrupted(.lease, .leaseLost), &transfer) }
            received.removeAll(keepingCapacity: true)
            do throws(HTTPClientError) {
                let pause = min(keepAliveMilliseconds - silentMilliseconds, lease.lookMilliseconds)
                silentMilliseconds += pause
                switch try transfer.read(into: &received, idleMilliseconds: pause) {
                case .data:
                    silentMilliseconds = 0
                    received.withUnsafeBytes { parser.append($0) }
                case .end: parser.finish()
                case .idle:
                    guard silentMilliseconds >= keepAliveMilliseconds else { continue }
                    silentMilliseconds = 0
                    if context.statusSent == 0 { writeHead(&context) }
                    exchange.write(ChatStreamEvent.keepAlive)
                    guard isWanted() else { return finished(.interrupted(.client, .clientGone), &transfer) }
                    continue
                }
            } catch {
                return finished(interrupted(by: error), &transfer)
            }
            if let end = relayEvents(&context) { return finished(end, &transfer) }
            if received.isEmpty {
                // The body ended without `[DONE]`: a provider that says why its last choice ended has finished all the same.
                return reader.finishReason != nil
                    ? .done
                    : .interrupted(.provider, .upstreamGarbage(provider: provider.name, "stream ended early"))
            }
        }
    }

    /// Reads on for the usage when the client left after the last words: leaving then must not make the answer cheaper.
    private mutating func finished(_ end: End, _ transfer: inout HTTPTransfer) -> End {
        guard case .interrupted(.client, _) = end, reader.finishReason != nil, reader.usage == nil else {
            return end
        }
        transfer.stopWatching()
        let deadline = Deadline.after(milliseconds: StreamRelay.usageWaitMilliseconds)
        var bytesLeft = StreamRelay.usageBytesMax
        while reader.usage == nil, bytesLeft > 0, !deadline.isPast {
            received.removeAll(keepingCapacity: true)
            // Whatever goes wrong here, the answer is charged for what was seen of it.
            let outcome = try? transfer.read(
                into: &received, idleMilliseconds: Int(deadline.remainingMilliseconds))
            guard case .data(let count) = outcome else { break }
            bytesLeft -= count
            received.withUnsafeBytes { parser.append($0) }
            // An event that is too large ends this, too.
            while let event = try? parser.next() { _ = parser.withData(of: event) { reader.read($0) } }
        }
        return end
    }

    private func interrupted(by error: HTTPClientError) -> End {
        let failure = GatewayError(error, provider: provider.name, exchange: exchange)
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
                let before = observed
                observed.count(chunk)
                if chunk.isBillable, let stop = fund(&context) {
                    observed = before
                    end = stop
                    continue
                }
                switch chunk.kind {
                case .done: end = .done
                case .error: end = .interrupted(.provider, providerFailure())
                case .usageOnly where !showsUsage: continue
                case .choices, .usageOnly: parser.appendWire(of: event, to: &outgoing)
                case .invalid:
                    end = .interrupted(
                        .provider, .upstreamGarbage(provider: provider.name, "an event is not JSON"))
                }
            }
        } catch {
            end = .interrupted(.provider, .upstreamGarbage(provider: provider.name, "\(error)"))
        }
        guard !outgoing.isEmpty else { return end }
        kept?.append(outgoing)
        if isClientGone { return isWanted() ? end : .interrupted(.client, .clientGone) }
        if context.statusSent == 0 { writeHead(&context) }
        if context.bytesDelivered == 0 { checkpoints.begin(checkpoint) }
        checkpoint.update(outputTokens: observed.outputTokens)
        exchange.write(outgoing)
        context.bytesDelivered += outgoing.count
        guard isWanted() else { return .interrupted(.client, .clientGone) }
        return end
    }

    /// Sees to it that what has been counted is paid for, before it is delivered; nil when it is.
    private mutating func fund(_ context: inout WorkflowContext) -> End? {
        let seen = max(observed.outputTokens, reader.usage?.completionTokens ?? 0)
        guard seen > funds.tokens else { return nil }
        switch funds.cover(seen, &context.quotaCheck.hold) {
        case .covered: return lease.isHeld ? nil : .interrupted(.lease, .leaseLost)
        case .exhausted: return .exhausted
        case .failed(let error): return .interrupted(.gateway, error)
        }
    }

    private func providerFailure() -> GatewayError {
        .upstreamStatus(
            500, provider: provider.name, retryAfterSeconds: nil,
            detail: provider.redacted(reader.providerError?.message ?? "error event"))
    }

    /// Sends what was written; whether anybody wants the rest: the client, or with an idempotency key whoever asks again, as long as
    /// the answer can be kept.
    private mutating func isWanted() -> Bool {
        // Why the client cannot be reached any more makes no difference here.
        if !isClientGone { isClientGone = (try? exchange.flush()) == nil }
        return !isClientGone || kept?.isTooLarge == false
    }

    private func writeHead(_ context: inout WorkflowContext) {
        guard context.statusSent == 0 else { return }
        var head = AnswerHead(status: 200, contentType: EventStream.contentType, context: context)
        head.add("Cache-Control", "no-cache")
        head.add("X-Accel-Buffering", "no")
        head.write(to: exchange)
        context.statusSent = 200
    }
}
