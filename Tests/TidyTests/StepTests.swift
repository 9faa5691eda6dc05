import Foundation
import Testing

/// A step is in the table of contents, and reads what it says it needs.
@Suite struct StepTests {
    /// A type that is a step, and where.
    private struct DeclaredStep {
        let name: String
        let source: SwiftSource
    }

    private static let steps = Checkout.sources.filter { $0.path.hasPrefix("Sources/Gateway/Steps/") }.flatMap
    { source in
        source.code.filter { $0.contains(": Step {") }.compactMap { line -> DeclaredStep? in
            let words = SwiftSource.words(line)
            guard let keyword = words.firstIndex(of: "struct") else { return nil }
            return DeclaredStep(name: String(words[keyword + 1]), source: source)
        }
    }

    /// The property of the context that a step's section is.
    private static let sections = [
        "validation": "Validation", "externalAuth": "ExternalAuth", "idempotency": "Idempotency",
        "routing": "RoutingStep",
        "quotaCheck": "QuotaCheck",
        "templateRender": "TemplateRender", "upstreamCall": "UpstreamCall",
        "responseTransform": "ResponseTransform",
        "billing": "Billing",
    ]

    /// Files that do a step's work beside it.
    private static let helpers = ["ResponseTransform": ["Sources/Gateway/Steps/StreamRelay.swift"]]

    @Test func `every step is listed in the workflows`() {
        let workflows = Checkout.text("Sources/Gateway/Workflow/Workflows.swift")
        #expect(Self.steps.count >= 9)
        for step in Self.steps { #expect(workflows.contains("\(step.name)("), "\(step.name)") }
    }

    @Test func `every section belongs to a step`() {
        let context = Checkout.text("Sources/Gateway/Workflow/WorkflowContext.swift")
        for (property, step) in Self.sections {
            #expect(context.contains("package var \(property): "), "\(property)")
            #expect(Self.steps.contains { $0.name == step }, "\(step)")
        }
        let declared = context.components(separatedBy: "filled(sections.").count - 1
        #expect(declared == Self.sections.count)
    }

    @Test func `a step reads only the sections of steps that it depends on`() {
        for step in Self.steps where step.name != "Audit" {
            let helpers = Checkout.sources.filter { Self.helpers[step.name]?.contains($0.path) ?? false }
            let code = ([step.source] + helpers).flatMap(\.code)
            let needed = dependencies(step)
            for (property, owner) in Self.sections where owner != step.name {
                let reads = code.contains { line in
                    [
                        "context.\(property).", "context.\(property) ", "context.\(property))",
                        "context.\(property),",
                    ]
                    .contains { (line + " ").contains($0) }
                }
                #expect(!reads || needed.contains(owner), "\(step.name) reads \(property)")
            }
        }
    }

    /// The types that a step's `dependsOn` names.
    private func dependencies(_ step: DeclaredStep) -> Set<String> {
        let code = step.source.code
        guard let start = code.firstIndex(where: { $0.contains("static var dependsOn") }) else { return [] }
        let declaration = code[start...].prefix(4).joined(separator: " ")
        return Set(
            declaration.components(separatedBy: ".self").dropLast().compactMap { part in
                SwiftSource.words(part).last.map { String($0) }
            })
    }
}
