/// Reads settings from the environment and gathers every mistake, so that an operator sees all of them at once.
package struct Settings: Sendable {
    private let environment: [String: String]
    /// What is wrong so far, in words for an operator.
    package private(set) var mistakes: [String] = []

    /// Creates a reader of an environment.
    package init(environment: [String: String]) {
        self.environment = environment
    }

    /// A text that must be there.
    package mutating func text(_ name: String, purpose: String) -> String {
        guard let value = environment[name], !value.isEmpty else {
            mistakes.append("\(name) is not set: \(purpose)")
            return ""
        }
        return value
    }

    /// A text that may be missing.
    package func optionalText(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A whole number within a range.
    package mutating func integer(_ name: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        guard let text = optionalText(name) else { return standard }
        guard let value = Int(text), range.contains(value) else {
            mistakes.append(
                "\(name) is '\(text)', but must be a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
            return standard
        }
        return value
    }

    /// One of several words.
    package mutating func word(_ name: String, default standard: String, of words: [String]) -> String {
        guard let text = optionalText(name) else { return standard }
        guard words.contains(text) else {
            mistakes.append("\(name) is '\(text)', but must be one of \(words.joined(separator: ", "))")
            return standard
        }
        return text
    }

    /// Notes a mistake found elsewhere.
    package mutating func add(mistake: String) {
        mistakes.append(mistake)
    }
}

/// Settings that cannot be used; every mistake in them.
package struct ConfigurationError: Error, CustomStringConvertible {
    /// The mistakes.
    package let mistakes: [String]

    /// Creates an error.
    package init(mistakes: [String]) {
        self.mistakes = mistakes
    }

    package var description: String { mistakes.joined(separator: "\n") }
}
