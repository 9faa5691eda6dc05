import Foundation

/// One Swift file, with what is code told apart from what is comment or text.
struct SwiftSource: Sendable {
    /// Where it is, from the top of the checkout.
    let path: String
    /// Its lines.
    let lines: [String]
    /// Its lines with blanks in place of comments and of what stands between quotes.
    let code: [String]
    /// The string literals, as they are written, and the line (from 0) in which each begins.
    let literals: [(line: Int, text: String)]

    init(path: String, text: String) {
        self.path = path
        lines = SwiftSource.lines(of: text)
        var lexer = Lexer(text)
        lexer.run()
        code = SwiftSource.lines(of: String(decoding: lexer.output, as: UTF8.self))
        literals = lexer.literals
    }

    private static func lines(of text: String) -> [String] {
        var lines = text.components(separatedBy: "\n")
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// A place in the file as compilers name it.
    func place(_ line: Int) -> String { "\(path):\(line + 1)" }

    /// The lines (from 0) whose code has this word, whole.
    func lines(withWord word: String) -> [Int] {
        code.indices.filter { SwiftSource.words(code[$0]).contains(Substring(word)) }
    }

    /// The names, keywords and numbers of a line of code.
    static func words(_ line: String) -> [Substring] {
        line.split { !($0.isLetter || $0.isNumber || $0 == "_") }
    }

    /// The module names that the file imports.
    var imports: [String] {
        code.compactMap { line in
            var words = line.split(separator: " ").drop { $0.hasPrefix("@") }
            if words.first == "package" || words.first == "public" { words.removeFirst() }
            guard words.first == "import", let module = words.dropFirst().first else { return nil }
            return String(module)
        }
    }
}

/// Goes through Swift text once, keeping the code and blanking the rest.
private struct Lexer {
    private let input: [UInt8]
    private var index = 0
    private var line = 0
    private(set) var output: [UInt8] = []
    private(set) var literals: [(line: Int, text: String)] = []

    init(_ text: String) {
        input = Array(text.utf8)
        output.reserveCapacity(input.count)
    }

    mutating func run() {
        while index < input.count { readCode(untilParenthesis: false) }
    }

    private func isNext(_ text: StaticString) -> Bool {
        let bytes = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return input[index...].starts(with: bytes)
    }

    private mutating func keep() {
        if input[index] == UInt8(ascii: "\n") { line += 1 }
        output.append(input[index])
        index += 1
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where index < input.count {
            let isBreak = input[index] == UInt8(ascii: "\n")
            line += isBreak ? 1 : 0
            // One blank a character, so that columns stay: continuation bytes of UTF-8 leave nothing.
            if input[index] & 0xC0 != 0x80 { output.append(isBreak ? UInt8(ascii: "\n") : UInt8(ascii: " ")) }
            index += 1
        }
    }

    /// Reads code to the end, or to the parenthesis that closes an interpolation.
    private mutating func readCode(untilParenthesis: Bool) {
        var depth = 0
        while index < input.count {
            if isNext("//") {
                while index < input.count, !isNext("\n") { blank() }
            } else if isNext("/*") {
                readBlockComment()
            } else if let hashes = stringStart() {
                readString(hashes: hashes)
            } else if isNext("`") {
                // A name between backticks may hold anything.
                keep()
                while index < input.count, !isNext("`") { blank() }
                if index < input.count { keep() }
            } else {
                if isNext("(") { depth += 1 }
                if isNext(")") {
                    if untilParenthesis, depth == 0 { return }
                    depth -= 1
                }
                keep()
            }
        }
    }

    private mutating func readBlockComment() {
        var depth = 0
        repeat {
            if isNext("/*") {
                depth += 1
                blank(2)
            } else if isNext("*/") {
                depth -= 1
                blank(2)
            } else {
                blank()
            }
        } while depth > 0 && index < input.count
    }

    /// How many `#` stand before the quote that begins a string here; nil when none begins.
    private func stringStart() -> Int? {
        let hashes = input[index...].prefix { $0 == UInt8(ascii: "#") }.count
        let quote = index + hashes
        return quote < input.count && input[quote] == UInt8(ascii: "\"") ? hashes : nil
    }

    private mutating func readString(hashes: Int) {
        let start = index
        let startLine = line
        blank(hashes)
        let quotes = isNext("\"\"\"") ? 3 : 1
        blank(quotes)
        let end =
            [UInt8](repeating: UInt8(ascii: "\""), count: quotes)
            + [UInt8](repeating: UInt8(ascii: "#"), count: hashes)
        let escape = [UInt8(ascii: "\\")] + [UInt8](repeating: UInt8(ascii: "#"), count: hashes)
        while index < input.count, !input[index...].starts(with: end) {
            if input[index...].starts(with: escape) {
                blank(escape.count)
                if index < input.count, isNext("(") {
                    blank()
                    readCode(untilParenthesis: true)
                }
                blank()
            } else {
                blank()
            }
        }
        blank(end.count)
        let text = String(
            decoding: input[
                min(start + hashes + quotes, input.count)..<max(start + hashes + quotes, index - end.count)],
            as: UTF8.self)
        literals.append((startLine, text))
    }
}
