import Testing

/// One owner for everything, and imports that point one way.
@Suite struct TargetTests {
    /// The targets in the order in which they may import each other: only what stands in an earlier row.
    private static let rows: [[String]] = [
        ["CLinux", "CFastCGI", "CHiredis", "CLibPQ", "CLibCurl"],
        ["Threads", "JSON"],
        ["FastCGI", "Redis", "Postgres", "HTTPClient", "PrivateServers"],
        ["Core"],
        [
            "Tenancy", "Catalog", "Quota", "Ledger", "Routing", "Dialects", "Observability", "Schema",
            "Webhooks",
        ],
        ["Settlement"],
        ["Gateway", "Jobs"],
        ["ProviderSimulator", "Installation", "Bench"],
        ["tollgated", "tollgate"],
    ]

    /// Targets that only some others may import, whatever the rows say.
    private static let onlyFor: [String: Set<String>] = [
        "CFastCGI": ["FastCGI"], "CHiredis": ["Redis"], "CLibPQ": ["Postgres"], "CLibCurl": ["HTTPClient"],
        "PrivateServers": ["Installation", "Bench"], "ProviderSimulator": ["tollgate"],
        "Installation": ["tollgate"], "Bench": ["tollgate"],
        "Schema": ["Gateway", "tollgate"],
    ]

    private func target(_ source: SwiftSource) -> String {
        source.path.split(separator: "/").dropFirst().first.map { String($0) } ?? ""
    }

    @Test func `imports point one way, and capabilities do not know each other`() {
        let row = Dictionary(
            uniqueKeysWithValues: Self.rows.enumerated().flatMap { number, row in row.map { ($0, number) } })
        var mistakes: Set<String> = []
        for source in Checkout.sources {
            let importer = target(source)
            guard let own = row[importer] else {
                mistakes.insert("\(importer) has no row")
                continue
            }
            for module in source.imports {
                guard let other = row[module] else { continue }
                if other >= own || !(Self.onlyFor[module]?.contains(importer) ?? true) {
                    mistakes.insert("\(source.path) imports \(module)")
                }
            }
        }
        #expect(mistakes == [])
    }

    @Test func `the core has no clock, no input and no output`() {
        let imports = Checkout.sources.filter { target($0) == "Core" }.flatMap(\.imports)
        #expect(imports == [])
    }

    @Test func `every target of the package is in the rows, and none else`() {
        let declared = Set(
            Checkout.paths("Sources", ending: "").compactMap { $0.split(separator: "/").dropFirst().first })
        #expect(Set(Self.rows.flatMap { $0 }) == Set(declared.map { String($0) }))
    }

    @Test func `above every target stands what it owns`() {
        let package = Checkout.package
        var names: [String] = []
        for (number, line) in package.lines.enumerated() {
            let isTarget = [".systemLibrary(", "module(", "program(", ".target("].contains { start in
                line.hasPrefix("        " + start)
            }
            guard isTarget else { continue }
            let literal = package.literals.first { $0.line >= number }
            names.append(literal?.text ?? "")
            let above = package.lines[..<number].reversed().prefix { $0.hasPrefix("        // ") }
            #expect(above.last?.hasPrefix("        // Owns: ") == true, "\(literal?.text ?? line)")
        }
        let known = Self.rows.flatMap { $0 } + ["TestSupport", "TestTools"]
        #expect(names.sorted() == known.sorted())
    }

    @Test func `every table belongs to one target`() {
        let owned = Checkout.package.lines.joined(separator: " ").replacing("// ", with: "")
        let created = Checkout.paths("Sources/Schema/Migrations", ending: ".sql").flatMap { path in
            Checkout.text(path).split(separator: "\n").filter { $0.hasPrefix("CREATE TABLE ") }.compactMap {
                line in
                line.split(whereSeparator: { $0 == " " || $0 == "(" }).dropFirst(2).first
            }
        }
        #expect(created.count > 10)
        for table in created {
            #expect(owned.contains(" \(table),") || owned.contains(" \(table):"), "nobody owns \(table)")
        }
    }
}
