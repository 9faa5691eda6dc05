/// What is wrong with a list of steps; it stops the start.
package enum StepOrderError: Error, Equatable, CustomStringConvertible {
    /// Two steps have one name.
    case doubled(String)
    /// A step needs one that is not in the list.
    case missing(String, neededBy: String)
    /// Steps that need each other.
    case cycle([String])

    package var description: String {
        switch self {
        case .doubled(let name): "two steps are named '\(name)'"
        case .missing(let name, let step): "step '\(step)' needs '\(name)', which is not in the workflow"
        case .cycle(let names): "these steps need each other: \(names.joined(separator: ", "))"
        }
    }
}

/// Derives the order in which steps run.
enum StepOrder {
    /// A stable topological order: a step runs after those it needs, and otherwise where the list has it.
    static func sorted(_ steps: [any Step]) throws(StepOrderError) -> [any Step] {
        var names: Set<StepName> = []
        for step in steps {
            guard names.insert(step.name).inserted else { throw .doubled("\(step.name)") }
        }
        for step in steps {
            for needed in type(of: step).dependsOn where !names.contains(needed.name) {
                throw .missing("\(needed.name)", neededBy: "\(step.name)")
            }
        }
        var ordered: [any Step] = []
        var done: Set<StepName> = []
        var left = steps
        while !left.isEmpty {
            let ready = left.firstIndex { step in
                type(of: step).dependsOn.allSatisfy { done.contains($0.name) }
            }
            guard let ready else { throw .cycle(cycle(among: left)) }
            let step = left.remove(at: ready)
            done.insert(step.name)
            ordered.append(step)
        }
        return ordered
    }

    /// The steps of one cycle, when each of those that are left needs another of them.
    private static func cycle(among left: [any Step]) -> [String] {
        var path: [StepName] = []
        var next = left.first
        while let step = next, !path.contains(step.name) {
            path.append(step.name)
            let needed = type(of: step).dependsOn.map { $0.name }
            next = left.first { needed.contains($0.name) }
        }
        // Whoever led to the cycle is not part of it.
        let cycle = path.drop { $0 != next?.name }
        return left.filter { cycle.contains($0.name) }.map { "\($0.name)" }
    }
}
