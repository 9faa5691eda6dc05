import Catalog
import Core
import Postgres
import PrivateServers
import TestSupport
import Testing

@Suite struct CatalogReaderTests {
    /// A catalogue of its own.
    private struct Books {
        let database: SharedServers.Database
        let pool: PostgresPool
        let pepper: Pepper
        let editor: CatalogEditor
        let reader: CatalogReader

        init() throws {
            database = try TestDatabase.make()
            pool = try TestDatabase.pool(database)
            pepper = try .forTests()
            editor = CatalogEditor(database: pool, pepper: pepper)
            reader = CatalogReader(database: pool, pepper: pepper)
        }

        func addProvider(_ name: String, credential: String = "sk-secret") throws -> CatalogEditor.Addition {
            try editor.addProvider(
                name: name, baseURL: "https://\(name).example/v1", credential: credential,
                allowsPrivateAddresses: false)
        }

        func addModel(_ model: String, at provider: String, priority: Int = 100) throws
            -> CatalogEditor.Addition
        {
            try editor.addModel(
                model, provider: provider, upstreamModel: "up-" + model, priority: priority, weight: 3,
                outputTokensMax: 500, bytesPerToken: 2, outputCapField: "max_completion_tokens")
        }

        func publish(_ input: Int64, _ model: String, at provider: String? = nil) throws -> Int64? {
            try editor.publish(
                Price.Rates(input: input, output: input), perRequest: .zero, model: model, provider: provider)
        }
    }

    @Test func `a reload shows what was added, whole`() throws {
        let books = try Books()
        #expect(try books.reader.reload() == [])
        #expect(books.reader.current.models.isEmpty)
        #expect(try books.addProvider("acme", credential: "sk-1") == .added)
        #expect(try books.addModel("small", at: "acme", priority: 7) == .added)
        let rates = Price.Rates(
            input: 1, output: 2, cachedInput: 3, cacheWrite: 4, cacheWriteHour: 5, reasoning: 6,
            audioInput: 7,
            audioOutput: 8)
        let version = try books.editor.publish(
            rates, perRequest: Money(nanodollars: 9), model: "small", provider: nil)
        #expect(books.reader.current.models.isEmpty, "nothing changes before the reload")
        #expect(try books.reader.reload() == [])
        let model = try #require(books.reader.current.models["small"]?.first)
        #expect(books.reader.current.models.count == 1)
        #expect(
            model
                == ProviderModel(
                    id: model.id, model: "small",
                    provider: Provider(
                        name: "acme", baseURL: "https://acme.example/v1", credential: "sk-1",
                        allowsPrivateAddresses: false), upstreamModel: "up-small", priority: 7, weight: 3,
                    outputTokensMax: 500, bytesPerToken: 2, outputCapField: "max_completion_tokens",
                    price: Price(
                        version: try #require(version), rates: rates, perRequest: Money(nanodollars: 9))))
    }

    @Test func `a snapshot stays what it was while another is read`() throws {
        let books = try Books()
        _ = try books.addProvider("acme")
        _ = try books.addModel("small", at: "acme")
        _ = try books.reader.reload()
        let before = books.reader.current
        _ = try books.addModel("large", at: "acme")
        _ = try books.reader.reload()
        #expect(Set(before.models.keys) == ["small"])
        #expect(Set(books.reader.current.models.keys) == ["small", "large"])
    }

    @Test
    func `a provider's own price goes before the model's, whichever is newer, and the newest of each counts`()
        throws
    {
        let books = try Books()
        for provider in ["one", "two"] {
            _ = try books.addProvider(provider)
            _ = try books.addModel("small", at: provider)
        }
        func prices() throws -> [String: Int64?] {
            _ = try books.reader.reload()
            let models = try #require(books.reader.current.models["small"])
            return Dictionary(uniqueKeysWithValues: models.map { ($0.provider.name, $0.price?.rates.input) })
        }
        #expect(try prices() == ["one": nil, "two": nil])
        let first = try #require(try books.publish(10, "small"))
        #expect(try prices() == ["one": 10, "two": 10])
        let second = try #require(try books.publish(20, "small", at: "one"))
        #expect(try prices() == ["one": 20, "two": 10])
        let third = try #require(try books.publish(30, "small"))
        #expect(try prices() == ["one": 20, "two": 30])
        _ = try books.publish(40, "small", at: "one")
        #expect(try prices() == ["one": 40, "two": 30])
        _ = try books.publish(50, "other")
        #expect(try prices() == ["one": 40, "two": 30])
        #expect(first < second && second < third)
    }

    @Test func `a price for a provider that nobody knows is not published`() throws {
        let books = try Books()
        #expect(try books.publish(10, "small", at: "nobody") == nil)
        #expect(try books.database.run("SELECT count(*) FROM prices") == "0\n")
    }

    @Test func `the models of a provider whose credential cannot be opened are left out, the others stay`()
        throws
    {
        let books = try Books()
        for provider in ["good", "bad", "none"] {
            _ = try books.addProvider(provider)
            _ = try books.addModel("small", at: provider)
        }
        // A credential copied from elsewhere, and one that is missing.
        try books.database.run(
            "UPDATE provider_credentials SET sealed = (SELECT sealed FROM provider_credentials WHERE provider = 'good') WHERE provider = 'bad'"
        )
        try books.database.run("DELETE FROM provider_credentials WHERE provider = 'none'")
        #expect(try books.reader.reload() == ["bad", "none"])
        #expect(books.reader.current.models["small"]?.map(\.provider.name) == ["good"])
        let other = try #require(Pepper(String(repeating: "q", count: 32)))
        let stranger = CatalogReader(database: books.pool, pepper: other)
        #expect(try stranger.reload() == ["good", "bad", "none"])
        #expect(stranger.current.models.isEmpty)
    }

    @Test func `the newest credential is used`() throws {
        let books = try Books()
        _ = try books.addProvider("acme", credential: "old")
        _ = try books.addModel("small", at: "acme")
        let sealed = try #require(CredentialSeal(pepper: books.pepper).seal("new", provider: "acme"))
        let hex = sealed.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        try books.database.run(
            "INSERT INTO provider_credentials (provider, sealed) VALUES ('acme', '\\x\(hex.joined())')")
        #expect(try books.reader.reload() == [])
        #expect(books.reader.current.models["small"]?.first?.provider.credential == "new")
    }

    @Test func `what is there already, or has no provider, is not added`() throws {
        let books = try Books()
        #expect(try books.addModel("small", at: "acme") == .unknownProvider)
        #expect(try books.addProvider("acme") == .added)
        #expect(try books.addProvider("acme", credential: "another") == .alreadyThere)
        #expect(try books.addModel("small", at: "acme") == .added)
        #expect(try books.addModel("small", at: "acme") == .alreadyThere)
        _ = try books.reader.reload()
        #expect(books.reader.current.models["small"]?.count == 1)
        #expect(books.reader.current.models["small"]?.first?.provider.credential == "sk-secret")
    }

    @Test func `the models of one name come by priority`() throws {
        let books = try Books()
        for (provider, priority) in [("late", 300), ("first", 1), ("middle", 20)] {
            _ = try books.addProvider(provider)
            _ = try books.addModel("small", at: provider, priority: priority)
        }
        _ = try books.reader.reload()
        #expect(books.reader.current.models["small"]?.map(\.provider.name) == ["first", "middle", "late"])
    }

    @Test func `a catalogue that cannot be read leaves the one in force`() throws {
        let books = try Books()
        _ = try books.addProvider("acme")
        _ = try books.addModel("small", at: "acme")
        _ = try books.reader.reload()
        try books.database.run("ALTER TABLE providers RENAME TO providers_gone")
        #expect(throws: PostgresError.self) { try books.reader.reload() }
        #expect(books.reader.current.models["small"]?.count == 1)
    }
}
