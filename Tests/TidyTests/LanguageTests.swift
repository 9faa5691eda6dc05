import Testing

/// SQL and Lua are source files of their own.
@Suite struct LanguageTests {
    private static let sqlStarts = [
        "SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE ", "ALTER ", "DROP ", "GRANT ",
        "REVOKE ", "WITH ",
        "TRUNCATE ", "COPY ", "LOCK TABLE ", "LISTEN ", "BEGIN ", "SET ",
    ]

    /// Statements that take no parameters, made of our own constants: what begins a database transaction, and the names of
    /// roles and databases of private servers.
    private static let statementsInSwift = [
        "Sources/Postgres/PostgresConnection.swift", "Sources/Postgres/PostgresListener.swift",
        "Sources/Postgres/PostgresPool.swift", "Sources/PrivateServers/SharedServers.swift",
        "Sources/Installation/DatabaseSetup.swift",
    ]

    @Test func `no SQL is built in Swift`() {
        let built = Checkout.sources.filter { !Self.statementsInSwift.contains($0.path) }.flatMap { source in
            source.literals.filter { literal in
                let text = literal.text.drop { $0.isWhitespace }
                return Self.sqlStarts.contains { text.hasPrefix($0) }
            }.map { source.place($0.line) }
        }
        #expect(built == [])
    }

    @Test func `statements are made of embedded files only`() {
        let made = Checkout.sources.filter { !$0.path.hasPrefix("Sources/Postgres/") }.flatMap { source in
            source.code.indices.filter { line in
                source.code[line].contains("Statement(") && !source.code[line].contains("ContextSection")
            }.filter { line in
                let text = source.code[line...].prefix(3).joined()
                return !text.contains("PackageResources.")
            }.map { source.place($0) }
        }
        #expect(made == [])
    }

    @Test func `every SQL file says what it does and ends with a line break`() {
        let files = Checkout.paths("Sources", ending: ".sql")
        #expect(files.count > 30)
        for file in files {
            let text = Checkout.text(file)
            #expect(text.hasPrefix("-- "), "\(file)")
            #expect(text.hasSuffix("\n"), "\(file)")
        }
    }

    @Test func `a statement's file holds one statement, and its values are parameters`() {
        for file in Checkout.paths("Sources", ending: ".sql") where file.contains("/SQL/") {
            let code = Checkout.text(file).split(separator: "\n").filter { !$0.hasPrefix("--") }.joined(
                separator: "\n")
            #expect(!code.dropLast().contains(";"), "\(file)")
        }
    }

    @Test func `every SQL and Lua file is used`() {
        let code = Checkout.sources.flatMap(\.code).joined(separator: "\n")
        for file in Checkout.paths("Sources", ending: ".sql") + Checkout.paths("Sources", ending: ".lua") {
            let name = file.split(separator: "/").last.map { $0.replacing(".", with: "_") } ?? ""
            #expect(code.contains("PackageResources.\(name)"), "\(file)")
        }
    }

    @Test func `every script of Redis has a header with its keys, its arguments and its reply`() {
        // wrk's script is none.
        let files = Checkout.paths("Sources", ending: ".lua").filter { !$0.hasPrefix("Sources/Bench/") }
        #expect(files.count >= 6)
        for file in files {
            let header = Checkout.text(file).split(separator: "\n").prefix { $0.hasPrefix("--") }
            let summary = header.prefix { $0 != "--" }
            #expect(summary.last?.hasSuffix(".") == true, "\(file): no summary")
            for part in ["-- KEYS ", "-- ARGV ", "-- Reply "] {
                #expect(header.contains { $0.hasPrefix(part) }, "\(file): no '\(part)'")
            }
        }
    }

    @Test func `a script names the keys it uses in KEYS, or after the first of them with its hash tag`() {
        for file in Checkout.paths("Sources", ending: ".lua") {
            let code = Checkout.text(file).split(separator: "\n").filter { !$0.hasPrefix("--") }
            let calls = code.filter { $0.contains("redis.call(") && !$0.contains("'TIME'") }
            // Which hashes a tenant's requests need only its image knows; they are in the slot of the tag.
            let hasPrefix = code.contains {
                $0.contains("prefix = 'gw:quota:apikey:' .. KEYS[1]:match('{.*}')")
            }
            for call in calls {
                let isDerived = hasPrefix && call.contains(", prefix .. key")
                #expect(isDerived || call.contains("KEYS["), "\(file): \(call)")
            }
        }
    }
}
