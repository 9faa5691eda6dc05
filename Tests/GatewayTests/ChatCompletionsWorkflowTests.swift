import Foundation
import Logging
import Observability
import PrivateServers
import Testing

@testable import Gateway

@Suite struct ChatCompletionsWorkflowTests {
    /// The parts of a responder; nothing is connected.
    private func services() throws -> Services {
        let directory = try TemporaryDirectory()
        let pepper = directory.path + "/pepper"
        try Data(String(repeating: "p", count: 32).utf8).write(to: URL(fileURLWithPath: pepper))
        let configuration = try Configuration(environment: [
            "TOLLGATE_DATABASE": "host=/nonexistent", "TOLLGATE_REDIS": "/nonexistent",
            "TOLLGATE_PEPPER_FILE": pepper,
        ])
        return Services(configuration, metrics: PrometheusRegistry(), logger: Logger(label: "test"))
    }

    @Test func `the steps of a chat completion run in the documented order`() throws {
        let workflow = try Workflows.chatCompletions(try services())
        #expect(
            workflow.steps.map { "\($0.name)" } == [
                "validation", "external_auth", "idempotency", "routing", "quota_check", "template_render",
                "upstream_call", "response_transform", "billing",
            ])
        #expect(workflow.steps.allSatisfy { $0.name != Audit.name })
    }

    @Test func `the order comes from what steps need, not from how they are listed`() throws {
        let steps = try Workflows.chatCompletions(try services()).steps
        for _ in 0..<20 {
            let order = try StepOrder.sorted(steps.shuffled()).map(\.name)
            #expect(order == steps.map(\.name))
        }
    }

    @Test func `every section has a step of its name in the workflow`() throws {
        let names = try Workflows.chatCompletions(try services()).steps.map { "\($0.name)" }
        #expect(Set(ContextSections.namespaces.map(\.name)) == Set(names))
    }
}
