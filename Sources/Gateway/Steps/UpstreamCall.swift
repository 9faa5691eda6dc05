import Core
import Dialects
import FastCGI
package import HTTPClient
package import Settlement
import Threads

/// Calls the candidates in order until one answers, and hands its answer on as a stream to pull from.
///
/// Watches the client meanwhile: one that has left is noticed also while the provider is still silent.
package struct UpstreamCall: Step {
    package static let name: StepName = "upstream_call"
    package static var dependsOn: [any Step.Type] {
        [TemplateRender.self, RoutingStep.self, Validation.self]
    }

    private let client: HTTPTransport
    private let timeouts: HTTPTimeouts
    private let crashPoints: CrashPoints
    private static let errorBytesMax = 64 * 1024

    package init(client: HTTPTransport, timeouts: HTTPTimeouts, crashPoints: CrashPoints = CrashPoints()) {
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
        let request = HTTPRequest(
            url: candidate.provider.baseURL + "/chat/completions",
            headers: [
                ("content-type", "application/json"),
                ("authorization", "Bearer \(candidate.provider.credential)"),
                ("accept", isStream ? "text/event-stream" : "application/json"),
                ("x-request-id", context.trace.description), ("x-tollgate-attempt", String(attempt)),
            ], body: body)
        var left = timeouts
        left.totalMilliseconds = min(left.totalMilliseconds, Int(context.deadline.remainingMilliseconds))
        let exchange = context.exchange
        var transfer: HTTPTransfer
        do throws(HTTPClientError) {
            transfer = try client.start(
                request, timeouts: left, watching: [exchange.watchDescriptor, exchange.shutdownDescriptor],
                allowsPrivateAddresses: candidate.provider.allowsPrivateAddresses)
        } catch {
            throw GatewayError(error, provider: candidate.provider.name, exchange: exchange)
        }
        crashPoints.pass(.called)
        context.upstreamCall = UpstreamCallSection(
            isStream: isStream, statusCode: Int64(transfer.status), attempts: Int64(attempt))
        guard transfer.status == 200 else { throw rejected(&transfer, candidate.provider) }
        context.transfer = consume transfer
    }

    /// What a status other than 200 means: a fault of the client's request, or one of the provider's that another may not have.
    private func rejected(_ transfer: inout HTTPTransfer, _ provider: Provider) -> GatewayError {
        let status = transfer.status
        let retryAfter = transfer.header("retry-after").flatMap { Int($0) }.map { min(max($0, 0), 3_600) }
        // The body only explains; without it the status must do.
        let body = (try? transfer.readAll(bytesMax: UpstreamCall.errorBytesMax)) ?? []
        let error = ProviderError(parsing: body)
        switch status {
        case 400, 404, 413, 422: return .upstreamRejected(status, error, provider: provider)
        default:
            return .upstreamStatus(
                status, provider: provider.name, retryAfterSeconds: retryAfter, detail: error?.message ?? "")
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
