/// A function, initialiser or deinitialiser with a body.
struct FunctionBody {
    let name: String
    /// The line (from 0) of its first keyword.
    let line: Int
    let lineCount: Int
}

extension SwiftSource {
    /// The functions of the file.
    var functions: [FunctionBody] {
        var found: [FunctionBody] = []
        for (number, line) in code.enumerated() {
            let words = SwiftSource.words(line)
            guard let keyword = words.first(where: { ["func", "init", "deinit"].contains($0) }),
                !line[..<keyword.startIndex].hasSuffix("."), words.first != "case"
            else { continue }
            let name =
                keyword == "func"
                ? line[keyword.endIndex...].dropFirst().prefix { $0 != "(" && $0 != "<" } : keyword
            if let end = endOfBody(
                line: number, from: line.distance(from: line.startIndex, to: keyword.startIndex))
            {
                found.append(FunctionBody(name: String(name), line: number, lineCount: end - number + 1))
            }
        }
        return found
    }

    private static let declarationStarts: Set<Substring> = [
        "func", "var", "let", "init", "deinit", "static", "package", "private", "fileprivate", "internal",
        "mutating",
        "consuming", "borrowing", "case", "struct", "class", "enum", "extension", "protocol",
        "associatedtype", "subscript",
        "typealias",
    ]

    /// The line on which the body ends that belongs to the declaration here; nil when it has none.
    private func endOfBody(line first: Int, from column: Int) -> Int? {
        var parentheses = 0
        var braces = 0
        for number in first..<code.count {
            if number > first, braces == 0, parentheses == 0, beginsDeclaration(number) { return nil }
            for character in number == first ? code[number].dropFirst(column) : Substring(code[number]) {
                switch character {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{" where parentheses == 0 || braces > 0: braces += 1
                case "}" where braces > 0:
                    braces -= 1
                    if braces == 0 { return number }
                default: break
                }
            }
        }
        return nil
    }

    private func beginsDeclaration(_ number: Int) -> Bool {
        let line = code[number].drop { $0 == " " }
        guard let first = line.first else { return false }
        return first == "}" || first == "@" || Self.declarationStarts.contains(line.prefix { $0.isLetter })
    }
}
