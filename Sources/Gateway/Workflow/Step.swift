/// The name of a step, as logs, metrics and the string view of the context know it.
package struct StepName: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name as text.
    package let description: String

    /// Creates a name.
    package init(stringLiteral name: StaticString) {
        description = name.description
    }
}

/// One unit of a workflow.
///
/// A step does one thing, names the step types it needs, talks to others only through the context, and gives back in ``compensate(_:after:)``
/// what it took. One instance serves all workers at the same time, so it holds nothing of a request.
package protocol Step: Sendable {
    /// The step's name, unique in a workflow.
    static var name: StepName { get }

    /// The steps whose sections this one reads; they run before it.
    static var dependsOn: [any Step.Type] { get }

    /// Does the step's work.
    ///
    /// Before the first byte of the answer it may throw: the request then fails with that error. After it nothing throws; what goes
    /// wrong is written to the context.
    func execute(_ context: inout WorkflowContext) throws(GatewayError)

    /// Gives back what ``execute(_:)`` took, because a later step failed. Called in reverse order of execution, and only for steps
    /// that succeeded. It must not fail: what cannot be given back now is queued by whoever owns it.
    func compensate(_ context: inout WorkflowContext, after error: GatewayError)
}

extension Step {
    package func compensate(_ context: inout WorkflowContext, after error: GatewayError) {}

    /// The step's name.
    var name: StepName { Self.name }
}
