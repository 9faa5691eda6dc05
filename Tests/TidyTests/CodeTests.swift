import Testing

/// What the formatter cannot check about Swift code.
@Suite struct CodeTests {
    private static let all = Checkout.sources + Checkout.tests + [Checkout.package]

    @Test func `there is something to check`() {
        #expect(Checkout.sources.count > 100)
        #expect(Checkout.tests.count > 50)
        #expect(Checkout.sources.flatMap(\.functions).count > 500)
        #expect(!Checkout.package.lines.isEmpty)
    }

    @Test func `no file has more than 400 lines`() {
        #expect(Self.all.filter { $0.lines.count > 400 }.map { "\($0.path): \($0.lines.count) lines" } == [])
    }

    @Test func `no function has more than 70 lines`() {
        let long = Self.all.flatMap { source in
            source.functions.filter { $0.lineCount > 70 }
                .map { "\(source.place($0.line)): \($0.name) has \($0.lineCount) lines" }
        }
        #expect(long == [])
    }

    @Test func `nothing is forced: no try!, no as!, no unwrapping`() {
        #expect(Self.all.flatMap { forced($0) } == [])
    }

    /// Places where an exclamation mark forces something.
    private func forced(_ source: SwiftSource) -> [String] {
        source.code.enumerated().compactMap { number, line in
            let bytes = Array(line.utf8)
            let isForced = bytes.indices.dropFirst().contains { index in
                guard bytes[index] == UInt8(ascii: "!") else { return false }
                let isComparison = index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "=")
                return !isComparison && CodeTests.endsOperand(bytes[index - 1])
            }
            return isForced ? source.place(number) : nil
        }
    }

    /// Whether a byte ends a name or an expression, so that `!` behind it is no negation.
    private static func endsOperand(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ")"), UInt8(ascii: "]"),
            UInt8(ascii: "}"), UInt8(ascii: ">"), UInt8(ascii: "?"), UInt8(ascii: "`"):
            true
        default: false
        }
    }

    @Test func `every try? has a comment that says why the error does not matter`() {
        let silent = Checkout.sources.flatMap { source in
            source.code.indices.filter { line in
                source.code[line].split(separator: " ").contains { $0 == "try?" || $0.hasSuffix("(try?") }
                    && !source.lines[max(0, line - 3)...line].contains { $0.contains("//") }
            }.map { source.place($0) }
        }
        #expect(silent == [])
    }

    /// What is compiled anew for the types it is used with: the compiler does so across targets for public code only.
    private static let specialised = [
        "Sources/Threads/BatchLane.swift", "Sources/Threads/Locked.swift", "Sources/Threads/Signal.swift",
    ]

    @Test func `nothing is public but what must be specialised`() {
        let open = Checkout.sources.filter { !Self.specialised.contains($0.path) }.flatMap { source in
            ["public", "open"].flatMap { word in
                source.lines(withWord: word).filter { isModifier(word, source.code[$0]) }.map {
                    source.place($0)
                }
            }
        }
        #expect(open == [])
    }

    /// Whether a word is the access of a declaration, not the name of a function such as `open`.
    private func isModifier(_ word: String, _ line: String) -> Bool {
        let line = line.drop { $0 == " " }
        return line.hasPrefix(word + " ") || line.hasPrefix(word + "(set)")
    }

    /// Members whose meaning their protocol documents.
    private static let requirements = [
        "package static let name: StepName", "package static var dependsOn:",
        "package func execute(_ context:",
        "package func compensate(_ context:", "package static let namespace =", "package static let fields:",
        "package var contextValue:", "package init?(contextValue:", "package static func < (",
        "package var description:",
        "package let description:", "package var logLevel:", "package var metadata:",
        "package subscript(metadataKey",
        "package func log(event:", "package func makeCounter(", "package func makeRecorder(",
        "package func makeTimer(",
        "package func destroyCounter(", "package func destroyRecorder(", "package func destroyTimer(",
    ]

    @Test func `every package declaration has a summary`() {
        let bare = Checkout.sources.flatMap { source in
            let isStep = source.code.contains { $0.contains(": Step {") }
            return source.code.indices.filter { number in
                let line = source.code[number].drop { $0 == " " }
                guard line.hasPrefix("package "), !line.hasPrefix("package import ") else { return false }
                // A step's initialiser takes what the step keeps.
                if isStep, line.hasPrefix("package init(") { return false }
                return !Self.requirements.contains { line.hasPrefix($0) } && !isDocumented(source, number)
            }.map { source.place($0) }
        }
        #expect(bare == [])
    }

    private func isDocumented(_ source: SwiftSource, _ number: Int) -> Bool {
        let above = source.lines[..<number].last { !$0.drop { $0 == " " }.hasPrefix("@") }
        return above?.drop { $0 == " " }.hasPrefix("///") ?? false
    }

    @Test func `money never meets a floating-point number`() {
        let targets = ["Core", "Quota", "Ledger", "Settlement"]
        let floating = Checkout.sources.filter { source in
            targets.contains { source.path.hasPrefix("Sources/\($0)/") }
        }.flatMap { source in
            ["Double", "Float", "Float32", "Float64", "Float80", "CGFloat", "Decimal", "TimeInterval"].flatMap
            { word in
                source.lines(withWord: word).map { source.place($0) }
            }
        }
        #expect(floating == [])
    }

    @Test func `the responder and the command line know no asynchronous code`() {
        // The simulated provider may; it does not.
        let asynchronous = Checkout.sources.flatMap { source in
            ["async", "await", "actor", "DispatchQueue"].flatMap { word in
                source.lines(withWord: word).map { source.place($0) }
            }
        }
        #expect(asynchronous == [])
    }

    @Test func `what threads share is in Locked, not in a Mutex of the standard library`() {
        let others = (Checkout.sources + Checkout.tests).flatMap { source in
            source.lines(withWord: "Mutex").map { source.place($0) }
        }
        #expect(others == [])
    }
}
