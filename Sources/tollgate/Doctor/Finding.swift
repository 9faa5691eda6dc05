/// What one look at the installation found.
struct Finding: Sendable {
    /// How bad it is.
    enum Grade: String, Sendable {
        case ok
        /// It works, and should be changed.
        case warn
        /// Requests fail, or money is not safe.
        case fail
    }

    let grade: Grade
    /// What was looked at.
    let name: String
    /// What is so.
    let text: String
    /// What to do; nil when it is well.
    let advice: String?

    static func ok(_ name: String, _ text: String) -> Finding {
        Finding(grade: .ok, name: name, text: text, advice: nil)
    }

    static func warn(_ name: String, _ text: String, _ advice: String) -> Finding {
        Finding(grade: .warn, name: name, text: text, advice: advice)
    }

    static func fail(_ name: String, _ text: String, _ advice: String) -> Finding {
        Finding(grade: .fail, name: name, text: text, advice: advice)
    }
}
