/// Variables of a shell, written so that `sh` can source them and we can read them again.
package struct EnvironmentFile: Sendable, Equatable {
    /// The values by name.
    package private(set) var values: [String: String] = [:]

    /// Creates an empty one.
    package init() {}

    /// Reads the text of such a file; lines of another form are left out.
    package init(text: String) {
        for line in text.split(separator: "\n") {
            guard line.hasPrefix("export "), let equals = line.firstIndex(of: "=") else { continue }
            let name = String(line[line.index(line.startIndex, offsetBy: 7)..<equals])
            let quoted = line[line.index(after: equals)...]
            guard quoted.count >= 2, quoted.hasPrefix("'"), quoted.hasSuffix("'") else { continue }
            values[name] = String(quoted.dropFirst().dropLast()).replacing("'\\''", with: "'")
        }
    }

    /// The value of a variable.
    package subscript(name: String) -> String? {
        get { values[name] }
        set {
            precondition(newValue?.contains("\n") != true, "a value of \(name) with a line break")
            values[name] = newValue
        }
    }

    /// The file: one `export NAME='value'` a line.
    package var text: String {
        values.sorted { $0.key < $1.key }
            .map { "export \($0.key)=\(Self.quoted($0.value))\n" }
            .joined()
    }

    /// The value as one word of a shell, whatever it contains.
    package static func quoted(_ value: String) -> String {
        "'" + value.replacing("'", with: "'\\''") + "'"
    }
}
