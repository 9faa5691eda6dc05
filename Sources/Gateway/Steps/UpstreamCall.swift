import Core
import Dialects
import FastCGI
package import HTTPClient
package import Settlement
import Threads

/// Calls the candidates in order until one answers, and hands its answer on as a stream to pull from.
///
/// Watches the client meanwhile: one that has left is noticed also while the provider is still silent. With an idempotency key the
/// answer is wanted all the same.
package struct UpstreamCall: Step {
    package static let name: StepName = "upstream_call"
    package static var dependsOn: [any Step.Type] {
        [TemplateRender.self, RoutingStep.self, Idempotency.self, Validation.self]
    }

    private let client: HTTPTransport
    private let timeouts: HTTPTimeouts
    private let crashPoints: CrashPoints
    private let keepAliveMilliseconds: Int
    private static let errorBytesMax = 64 * 1_024
    private static let firstBytesMax = 64 * 1_024

    /// Creates the step.
    ///
    /// - Parameter keepAliveMilliseconds: After how much silence of a provider the client is given a sign of life.
    package init(
        client: HTTPTransport, timeouts: HTTPTimeouts, keepAliveMilliseconds: Int,
        crashPoints: CrashPoints = CrashPoints()
    ) {
        self.keepAliveMilliseconds = keepAliveMilliseconds
        self.client = client
        self.timeouts = timeouts
        self.crashPoints = crashPoints
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        var last: GatewayError?
        for index in context.routing.candidates.indices {
            context.routing.selectedIndex = index
            do throws(GatewayError) {
                try call(&context, attempt: index + 1)
                return
            } catch {
                context.transfer = nil
                // What the client did wrong, or its leaving, is no better elsewhere; neither is our own stopping.
                guard error.source == .upstream else { throw error }
                last = error
            }
        }
        throw last ?? .unknownModel(context.validation.request.model)
    }

    package func compensate(_ context: inout WorkflowContext, after error: GatewayError) {
        context.transfer = nil
    }

    private func call(_ context: inout WorkflowContext, attempt: Int) throws(GatewayError) {
        let candidate = context.routing.selected
        guard let body = context.templateRender.bodies[candidate.id] else {
            preconditionFailure("template_render makes a body for every candidate")
        }
        let isStream = context.validation.request.stream
        // What differs between requests comes last: the client keeps what comes before.
        var headers = [
            (name: "content-type", value: "application/json"),
            (name: "authorization", value: "Bearer \(candidate.provider.credential)"),
            (name: "accept", value: isStream ? "text/event-stream" : "application/json"),
            (name: "x-request-id", value: context.trace.description),
        ]
        if attempt > 1 { headers.append(("x-tollgate-attempt", String(attempt))) }
        let request = HTTPRequest(
            url: candidate.provider.baseURL + "/chat/completions", headers: headers, body: body)
        var left = timeouts
        left.totalMilliseconds = min(left.totalMilliseconds, Int(context.deadline.remainingMilliseconds))
        let exchange = context.exchange
        let isWantedLater = context.idempotency.claim != nil
        var transfer: HTTPTransfer
        do throws(HTTPClientError) {
            transfer = try client.start(
                request, timeouts: left,
                watching: (isWantedLater ? [] : [exchange.watchDescriptor]) + [exchange.shutdownDescriptor],
                allowsPrivateAddresses: candidate.provider.allowsPrivateAddresses)
        } catch {
            throw GatewayError(error, provider: candidate.provider.name, exchange: exchange)
        }
        crashPoints.pass(.called)
        context.upstreamCall = UpstreamCallSection(
            isStream: isStream, statusCode: Int64(transfer.status), attempts: Int64(attempt))
        guard transfer.status == 200 else { throw rejected(&transfer, candidate.provider) }
        if isStream {
            context.firstBytes = try firstEvent(&transfer, candidate.provider, exchange)
        }
        context.transfer = consume transfer
    }

    /// Reads a stream's first event, so that a provider that fails before it can be replaced; no longer than a client likes to wait
    /// without a sign of life.
    private func firstEvent(
        _ transfer: inout HTTPTransfer, _ provider: Provider, _ exchange: Exchange
    ) throws(GatewayError) -> [UInt8] {
        var received: [UInt8] = []
        var parser = EventStreamParser()
        while received.count < UpstreamCall.firstBytesMax {
            let known = received.count
            let outcome: HTTPTransfer.ReadOutcome
            do throws(HTTPClientError) {
                outcome = try transfer.read(into: &received, idleMilliseconds: keepAliveMilliseconds)
            } catch {
                throw GatewayError(error, provider: provider.name, exchange: exchange)
            }
            switch outcome {
            case .idle: return received
            case .end: parser.finish()
            case .data: received[known...].withUnsafeBytes { parser.append($0) }
            }
            // An event that is too large is the relay's to refuse.
            guard let event = try? parser.next() else {
                guard outcome == .end else { continue }
                throw .upstreamGarbage(provider: provider.name, "the stream ended before its first event")
            }
            var reader = ChatStreamReader()
            switch parser.withData(of: event, { reader.read($0) }).kind {
            case .choices, .usageOnly, .done: return received
            case .invalid: throw .upstreamGarbage(provider: provider.name, "an event is not JSON")
            case .error:
                let message = reader.providerError?.message ?? "error event"
                throw .upstreamStatus(
                    500, provider: provider.name, retryAfterSeconds: nil, detail: provider.redacted(message))
            }
        }
        return received
    }

    /// What a status other than 200 means: a fault of the client's request, or one of the provider's that another may not have.
    private func rejected(_ transfer: inout HTTPTransfer, _ provider: Provider) -> GatewayError {
        let status = transfer.status
        let retryAfter = transfer.header("retry-after").flatMap { Int($0) }.map { min(max($0, 0), 3_600) }
        // The body only explains; without it the status must do.
        let body = (try? transfer.readAll(bytesMax: UpstreamCall.errorBytesMax)) ?? []
        let error = ProviderError(parsing: body)
        switch status {
        case 400, 413, 422: return .upstreamRejected(status, error, provider: provider)
        default:
            return .upstreamStatus(
                status, provider: provider.name, retryAfterSeconds: retryAfter,
                detail: provider.redacted(error?.message ?? ""))
        }
    }
}

extension GatewayError {
    /// A failed transfer; a watched descriptor means that the client has left or that this server must stop.
    init(_ error: HTTPClientError, provider: String, exchange: Exchange) {
        guard case .watchedDescriptor(let descriptor) = error else {
            self.init(error, provider: provider)
            return
        }
        self = descriptor == exchange.shutdownDescriptor ? .shuttingDown : .clientGone
    }
}
