import Core
import Dialects

/// Makes each candidate's request: the client's own bytes with the few edits that candidate needs.
package struct TemplateRender: Step {
    package static let name: StepName = "template_render"
    package static var dependsOn: [any Step.Type] { [QuotaCheck.self, RoutingStep.self, Validation.self] }

    package init() {}

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        let request = context.validation.request
        let cap = Int(context.quotaCheck.outputCap)
        var bodies: [Int64: [UInt8]] = [:]
        for candidate in context.routing.candidates {
            bodies[candidate.id] = request.forwardedBody(
                upstreamModel: candidate.upstreamModel, outputCap: cap,
                outputCapField: OutputCapField(rawValue: candidate.outputCapField) ?? .maxTokens)
        }
        context.templateRender = TemplateRenderSection(bodies: bodies)
    }
}
