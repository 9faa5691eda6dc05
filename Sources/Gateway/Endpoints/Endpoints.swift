import CLinux
import Catalog
import Core
import Dialects
package import FastCGI
import JSON
import Logging
import Settlement
import Tenancy
import Threads

/// Answers requests: finds the route, checks who may take it, and runs its workflow.
package struct Endpoints: Sendable {
    private let services: Services
    private let chatCompletions: Workflow
    private let admin: AdminEndpoints
    private let auth: ExternalAuth
    private let readiness: Readiness
    private let metrics: @Sendable () throws(GatewayError) -> String

    /// Creates the endpoints; the workflows are put in order here.
    ///
    /// - Parameter metrics: What `/metrics` answers.
    package init(
        _ services: Services, metrics: @escaping @Sendable () throws(GatewayError) -> String
    ) throws(StepOrderError) {
        let doubled = WorkflowContext.doubledNames()
        precondition(doubled.isEmpty, "context fields declared twice: \(doubled)")
        self.services = services
        self.metrics = metrics
        chatCompletions = try Workflows.chatCompletions(services)
        admin = AdminEndpoints(services)
        auth = ExternalAuth(keys: services.keys)
        readiness = Readiness(services)
    }

    /// Answers one request.
    package func serve(_ exchange: Exchange) {
        let trace = Endpoints.newTrace()
        let request = RequestLine(exchange)
        do throws(GatewayError) {
            guard let listener = request.listener, let route = Route(path: request.path, listener: listener)
            else {
                throw .notFound(request.path)
            }
            guard request.method == route.method || (request.method == "HEAD" && route.method == "GET") else {
                throw .methodNotAllowed(route.method)
            }
            if route.needsAdminToken { try checkAdmin(exchange) }
            try serve(route, request, exchange, trace)
        } catch {
            discardBody(exchange)
            services.logger.info(
                "refused",
                metadata: [
                    "trace": "\(trace)", "status": .stringConvertible(error.status),
                    "error_code": "\(error.code)",
                    "path": "\(request.path.prefix(256))", "error_detail": "\(error.detail.prefix(256))",
                ])
            ErrorAnswer.write(error, to: exchange, trace: trace)
        }
    }

    /// Answers a request for which there is no worker.
    package func refuse(_ exchange: Exchange) {
        discardBody(exchange)
        ErrorAnswer.write(.overloaded, to: exchange, trace: Endpoints.newTrace())
    }

    private func serve(
        _ route: Route, _ request: RequestLine, _ exchange: Exchange, _ trace: TraceID
    ) throws(GatewayError) {
        switch route {
        case .chatCompletions:
            // Before the body is looked at: nobody without the form of a key makes this process parse megabytes.
            let key = try Credentials.apiKey(of: exchange)
            let deadline = Deadline.after(seconds: services.configuration.requestSecondsMax)
            var context = WorkflowContext(
                trace: trace, exchange: exchange, apiKey: key, startedAt: .now, deadline: deadline)
            chatCompletions.run(&context)
        case .models:
            let caller = try auth.caller(for: Credentials.apiKey(of: exchange))
            answer(ModelListing.listBody(models(for: caller)), to: exchange, trace)
        case .model(let name):
            let caller = try auth.caller(for: Credentials.apiKey(of: exchange))
            guard let model = models(for: caller).first(where: { $0.id == name }) else {
                throw .unknownModel(name)
            }
            answer(model.body, to: exchange, trace)
        case .health: answer(Array(#"{"status":"ok"}"#.utf8), to: exchange, trace)
        case .readiness: answerReadiness(exchange, trace, showsChecks: request.listener == .adminServer)
        case .metrics: try answerMetrics(exchange)
        case .adminTenants: answer(try admin.tenants(request.query), to: exchange, trace)
        case .adminTenant(let id): answer(try admin.setTenant(id, by: exchange), to: exchange, trace)
        case .adminKey(let id): answer(try admin.setKey(id, by: exchange), to: exchange, trace)
        case .adminTransactions: answer(try admin.transactions(request.query), to: exchange, trace)
        }
    }

    private func checkAdmin(_ exchange: Exchange) throws(GatewayError) {
        let token: String
        do throws(GatewayError) { token = try Credentials.key(of: exchange) } catch {
            throw .invalidAdminToken
        }
        do throws(TenancyError) {
            guard try services.keys.isAdminToken(token) else { throw TenancyError.invalidKey }
        } catch {
            if case .unavailable = error { throw GatewayError(error) }
            throw .invalidAdminToken
        }
    }

    /// The priced models that a caller may use, in the order of their names.
    private func models(for caller: Caller) -> [ModelListing] {
        let allowed = caller.key.allowedModels
        return services.catalog.current.models
            .filter { name, models in (allowed?.contains(name) ?? true) && models.contains { $0.price != nil }
            }
            .map { name, _ in ModelListing(id: name, createdSeconds: 0, owner: "tollgate") }
            .sorted { $0.id < $1.id }
    }

    private func answer(_ body: [UInt8], status: Int = 200, to exchange: Exchange, _ trace: TraceID) {
        discardBody(exchange)
        var head = AnswerHead(status: status, contentType: "application/json")
        head.add("x-request-id", trace.description)
        head.add("Content-Length", String(body.count))
        head.write(to: exchange)
        exchange.write(body)
    }

    /// Why it is not ready is the operator's business: the public server only says whether.
    private func answerReadiness(_ exchange: Exchange, _ trace: TraceID, showsChecks: Bool) {
        let checks = readiness.checks()
        let isReady = checks.allSatisfy { $0.problem == nil }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("status", isReady ? "ready" : "not ready")
        if showsChecks {
            writer.key("checks")
            writer.beginObject()
            for check in checks { writer.member(check.name, check.problem ?? check.note ?? "ok") }
            writer.endObject()
        }
        writer.endObject()
        answer(writer.bytes, status: isReady ? 200 : 503, to: exchange, trace)
    }

    private func answerMetrics(_ exchange: Exchange) throws(GatewayError) {
        let text = try metrics()
        discardBody(exchange)
        AnswerHead(status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8").write(to: exchange)
        exchange.write(text)
    }

    /// What is left unread would be taken for the next request on the connection; the pool drops it, too, but asks for it here.
    private func discardBody(_ exchange: Exchange) {
        // Its content does not matter, nor whether it arrives.
        _ = try? exchange.readBody(bytesMax: services.configuration.bodyBytesMax)
    }

    private static func newTrace() -> TraceID {
        var random: (UInt64, UInt64) = (0, 0)
        // One call of the system for both words; so few bytes come whole, or not at all where it lacks the call.
        let count = withUnsafeMutableBytes(of: &random) { getrandom($0.baseAddress, $0.count, 0) }
        precondition(count == MemoryLayout.size(ofValue: random), "the system gives no random bytes")
        return TraceID(unixMilliseconds: WallClock.unixMilliseconds, random: random)
    }
}
