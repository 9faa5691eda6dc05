package import Core
package import FastCGI
package import HTTPClient
package import Tenancy
package import Threads

/// Everything about one request, for as long as it lasts: one typed section a step, and a string view of the same storage.
///
/// Belongs to the worker thread that serves the request.
package struct WorkflowContext: ~Copyable {
    /// The request's name everywhere.
    package let trace: TraceID
    /// The connection to the client.
    package let exchange: Exchange
    /// The API key that the client shows; whose it is, and whether it is good, `external_auth` finds out.
    package let apiKey: SecretText
    /// When the request began.
    package let startedAt: Deadline
    /// When it must be over.
    package let deadline: Deadline
    /// The provider's answer while it is being received.
    package var transfer: HTTPTransfer?
    /// What was read of a provider's stream already, to see that it begins well.
    package var firstBytes: [UInt8] = []
    /// Bytes of the provider's answer that were handed to the client.
    ///
    /// 0 means that the client has seen nothing yet.
    package var bytesDelivered = 0
    /// Why the request failed, for `audit`.
    package var failure: GatewayError?
    /// The status that was sent to the client; 0 when none was.
    package var statusSent = 0

    /// The sections as they are, for steps that run whatever happened before them.
    package private(set) var sections = ContextSections()

    /// Creates the context of a request.
    package init(
        trace: TraceID, exchange: Exchange, apiKey: SecretText, startedAt: Deadline, deadline: Deadline
    ) {
        self.trace = trace
        self.exchange = exchange
        self.apiKey = apiKey
        self.startedAt = startedAt
        self.deadline = deadline
    }

    private func filled<Section: ContextSection>(_ section: Section?) -> Section {
        guard let section else {
            preconditionFailure(
                "section \(Section.namespace) is read by a step that does not depend on its step")
        }
        return section
    }

    /// What `validation` left.
    package var validation: ValidationSection {
        get { filled(sections.validation) }
        set { sections.validation = newValue }
    }

    /// What `external_auth` left.
    package var externalAuth: ExternalAuthSection {
        get { filled(sections.externalAuth) }
        set { sections.externalAuth = newValue }
    }

    /// What `idempotency` left.
    package var idempotency: IdempotencySection {
        get { filled(sections.idempotency) }
        set { sections.idempotency = newValue }
    }

    /// What `routing` left.
    package var routing: RoutingSection {
        get { filled(sections.routing) }
        set { sections.routing = newValue }
    }

    /// What `quota_check` left.
    package var quotaCheck: QuotaCheckSection {
        get { filled(sections.quotaCheck) }
        set { sections.quotaCheck = newValue }
    }

    /// What `template_render` left.
    package var templateRender: TemplateRenderSection {
        get { filled(sections.templateRender) }
        set { sections.templateRender = newValue }
    }

    /// What `upstream_call` left.
    package var upstreamCall: UpstreamCallSection {
        get { filled(sections.upstreamCall) }
        set { sections.upstreamCall = newValue }
    }

    /// What `response_transform` left.
    package var responseTransform: ResponseTransformSection {
        get { filled(sections.responseTransform) }
        set { sections.responseTransform = newValue }
    }

    /// What `billing` left.
    package var billing: BillingSection {
        get { filled(sections.billing) }
        set { sections.billing = newValue }
    }
}

// MARK: - The string view

extension WorkflowContext {
    private static let namespaces: [String: ContextNamespace] = Dictionary(
        ContextSections.namespaces.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

    /// The value of a field, named as templates and logs name it.
    package func get(_ namespace: String, _ key: String) throws(ContextError) -> ContextValue {
        guard let found = WorkflowContext.namespaces[namespace] else { throw .unknownNamespace(namespace) }
        return try found.get(sections, key)
    }

    /// Sets a field; the section's own property changes with it, because it is the same storage.
    package mutating func set(_ namespace: String, _ key: String, _ value: ContextValue) throws(ContextError)
    {
        guard let found = WorkflowContext.namespaces[namespace] else { throw .unknownNamespace(namespace) }
        try found.set(&sections, key, value)
    }

    /// The names of the string view that are declared twice; the start stops unless there are none.
    package static func doubledNames(in namespaces: [ContextNamespace]? = nil) -> [String] {
        var seen: Set<String> = []
        var doubled: [String] = []
        for namespace in namespaces ?? ContextSections.namespaces {
            for name in [namespace.name] + namespace.keys.map({ "\(namespace.name).\($0)" })
            where !seen.insert(name).inserted {
                doubled.append(name)
            }
        }
        return doubled
    }
}
