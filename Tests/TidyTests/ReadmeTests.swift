import Foundation
import Testing

/// The manual says what is there, and nothing else.
@Suite struct ReadmeTests {
    private static let readme = Checkout.text("README.md")

    /// The names that begin with a prefix and go on with the given characters.
    private func names(_ prefix: String, in text: String, of isPart: (Character) -> Bool) -> Set<String> {
        Set(
            text.components(separatedBy: prefix).dropFirst().map { rest in
                prefix + rest.prefix { isPart($0) }
            })
    }

    private func variables(_ text: String) -> Set<String> {
        names("TOLLGATE_", in: text) { $0 == "_" || ($0.isUppercase && $0.isASCII) }
    }

    private func metrics(_ text: String) -> Set<String> {
        names("tollgate_", in: text) { $0 == "_" || ($0.isLowercase && $0.isASCII) }
    }

    private static let settingFiles = Checkout.sources.filter { source in
        source.path.hasPrefix("Sources/Gateway/Configuration/") || source.path.hasPrefix("Sources/tollgate/")
    }

    @Test func `every setting is in the manual, and every one in the manual is read`() {
        let read = Set(Self.settingFiles.flatMap(\.literals).flatMap { variables($0.text) })
        let wrapper = variables(Checkout.text("tollgate"))
        let tests = Set(Checkout.tests.flatMap(\.literals).flatMap { variables($0.text) })
        let documented = variables(Self.readme)
        #expect(read.count > 20)
        #expect(read.subtracting(documented) == [])
        let written = Checkout.sources.flatMap(\.literals).flatMap { variables($0.text) }
        #expect(
            documented.subtracting(read).subtracting(wrapper).subtracting(tests).subtracting(written) == [])
    }

    @Test func `the defaults in the manual are those of the program`() throws {
        let code =
            Checkout.text("Sources/Gateway/Configuration/Configuration.swift")
            + Checkout.text("Sources/Gateway/Configuration/StoreConfiguration.swift")
        var checked = 0
        for part in code.components(separatedBy: "settings.integer(").dropFirst() {
            let words = part.split { $0.isWhitespace || "\",()".contains($0) }
            guard words.count > 2, words[1] == "default:", words[2].allSatisfy({ $0.isNumber || $0 == "_" })
            else { continue }
            let row = Self.readme.split(separator: "\n").first { $0.hasPrefix("| `\(words[0])` | ") }
            let cell = try #require(row, "\(words[0]) has no row").split(separator: "|")[1]
            #expect(cell.filter(\.isNumber) == words[2].filter(\.isNumber), "\(words[0])")
            checked += 1
        }
        #expect(checked >= 15)
    }

    @Test func `every metric is in the manual, and every one in the manual is counted`() {
        let tellers = Checkout.sources.filter { source in
            ["Sources/Gateway/", "Sources/Jobs/", "Sources/Settlement/"].contains {
                source.path.hasPrefix($0)
            }
        }
        let counted = Set(tellers.flatMap(\.literals).flatMap { metrics($0.text) })
            .subtracting(["tollgate_catalog", "tollgate_tenancy"])
        let documented = metrics(Self.readme).subtracting(["tollgate_app", "tollgate_owner"])
        #expect(counted.count > 8)
        #expect(counted == documented)
    }

    @Test func `every directory of the sources is in the map`() {
        let directories = Set(
            Checkout.paths("Sources", ending: "").compactMap { $0.split(separator: "/").dropFirst().first })
        #expect(directories.count > 20)
        for directory in directories {
            #expect(Self.readme.contains("`\(directory)`"), "\(directory)")
        }
    }

    @Test func `every command is in the manual`() {
        let commands = Checkout.sources.filter { $0.path.hasPrefix("Sources/tollgate/") }.flatMap { source in
            source.code.indices.filter { source.code[$0].contains("commandName:") }.flatMap { line in
                source.literals.filter { $0.line == line }.prefix(1).map(\.text)
            }
        }
        #expect(commands.count > 10)
        for command in commands {
            #expect(
                Self.readme.contains("`\(command)") || Self.readme.contains("tollgate \(command)"),
                "\(command)")
        }
    }

    @Test func `every file that the manual names is there`() {
        let named = Self.readme.components(separatedBy: "](").dropFirst().compactMap { rest in
            rest.split(separator: ")", omittingEmptySubsequences: false).first.map { String($0) }
        }
        let files = named.filter { !$0.contains("://") && !$0.hasPrefix("#") }
        #expect(!files.isEmpty)
        for file in files {
            #expect(!Checkout.text(file).isEmpty || !Checkout.paths(file, ending: "").isEmpty, "\(file)")
        }
    }
}
