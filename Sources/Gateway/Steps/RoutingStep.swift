package import Catalog
import Core
import Dialects
import Routing

/// Finds who may serve the request, in what order, and at what price.
package struct RoutingStep: Step {
    package static let name: StepName = "routing"
    // What was answered before needs nobody to serve it: that is found out first.
    package static var dependsOn: [any Step.Type] { [Validation.self, ExternalAuth.self, Idempotency.self] }

    private let catalog: CatalogReader
    private let candidatesMax: Int

    /// Creates the step.
    ///
    /// - Parameter candidatesMax: How many candidates one request may try.
    package init(catalog: CatalogReader, candidatesMax: Int) {
        self.catalog = catalog
        self.candidatesMax = candidatesMax
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        let request = context.validation.request
        let allowed = context.externalAuth.caller.key.allowedModels
        guard allowed?.contains(request.model) ?? true, let models = catalog.current.models[request.model]
        else {
            throw .unknownModel(request.model)
        }
        let priced = models.filter { $0.price != nil }
        guard !priced.isEmpty else { throw .unpricedModel(request.model) }
        var generator = SystemRandomNumberGenerator()
        let ordered = CandidateOrder.candidates(priced, using: &generator)
        context.routing = RoutingSection(candidates: Array(ordered.prefix(candidatesMax)))
    }
}
