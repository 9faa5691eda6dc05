import Core
import Dialects
import Gateway
import Threads

/// What steps did, in order.
final class Journal: Sendable {
    private let entries = Locked<[String]>([])

    var all: [String] { entries.withLock { $0 } }

    func add(_ entry: String) {
        entries.withLock { $0.append(entry) }
    }
}

/// The name and the needs of a step of these tests.
protocol ProbePlace: Sendable {
    static var name: StepName { get }
    static var dependsOn: [any Step.Type] { get }
}

/// A small step that writes down what happens to it, and does what the test wants.
struct Probe<Place: ProbePlace>: Step {
    static var name: StepName { Place.name }
    static var dependsOn: [any Step.Type] { Place.dependsOn }

    let journal: Journal
    var effect: @Sendable (inout WorkflowContext) throws(GatewayError) -> Void = { _ in }

    func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        journal.add("\(Self.name)")
        try effect(&context)
    }

    func compensate(_ context: inout WorkflowContext, after error: GatewayError) {
        journal.add("\(Self.name) gives back after \(error.code)")
    }
}

enum First: ProbePlace {
    static let name: StepName = "first"
    static var dependsOn: [any Step.Type] { [] }
}

enum Second: ProbePlace {
    static let name: StepName = "second"
    static var dependsOn: [any Step.Type] { [Probe<First>.self] }
}

enum Third: ProbePlace {
    static let name: StepName = "third"
    static var dependsOn: [any Step.Type] { [Probe<Second>.self, Probe<First>.self] }
}

enum Free: ProbePlace {
    static let name: StepName = "free"
    static var dependsOn: [any Step.Type] { [] }
}

enum Last: ProbePlace {
    static let name: StepName = "last"
    static var dependsOn: [any Step.Type] { [] }
}

enum AlsoFirst: ProbePlace {
    static let name: StepName = "first"
    static var dependsOn: [any Step.Type] { [] }
}

enum Chicken: ProbePlace {
    static let name: StepName = "chicken"
    static var dependsOn: [any Step.Type] { [Probe<Egg>.self] }
}

enum Egg: ProbePlace {
    static let name: StepName = "egg"
    static var dependsOn: [any Step.Type] { [Probe<Chicken>.self] }
}

enum Narcissus: ProbePlace {
    static let name: StepName = "narcissus"
    static var dependsOn: [any Step.Type] { [Probe<Narcissus>.self] }
}

enum Hatched: ProbePlace {
    static let name: StepName = "hatched"
    static var dependsOn: [any Step.Type] { [Probe<Egg>.self] }
}

extension GatewayError {
    /// An error of these tests.
    static func probe(_ code: String = "PROBE", status: Int = 418) -> GatewayError {
        GatewayError(
            source: .client, code: code, status: status,
            client: OpenAIErrorBody(message: "told to the client", type: "test_error", code: "probe"),
            detail: "only for the log", retryAfterSeconds: 7, shouldRetry: false)
    }
}
