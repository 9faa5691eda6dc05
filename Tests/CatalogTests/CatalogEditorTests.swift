import Catalog
import Core
import Postgres
import PrivateServers
import TestSupport
import Testing

@Suite struct CatalogEditorTests {
    private let database: SharedServers.Database
    private let pool: PostgresPool
    private let editor: CatalogEditor
    private let reader: CatalogReader

    init() throws {
        database = try TestDatabase.make()
        pool = try TestDatabase.pool(database)
        let pepper = try Pepper.forTests()
        editor = CatalogEditor(database: pool, pepper: pepper)
        reader = CatalogReader(database: pool, pepper: pepper)
    }

    private func add(_ model: String, at provider: String) throws {
        // It may be there already, with other models.
        _ = try editor.addProvider(
            name: provider, baseURL: "https://\(provider).example/v1", credential: "sk-\(provider)",
            allowsPrivateAddresses: false)
        _ = try editor.addModel(
            model, provider: provider, upstreamModel: model, priority: 100, weight: 1, outputTokensMax: 100,
            bytesPerToken: 1, outputCapField: "max_tokens")
    }

    private func publish(_ input: Int64, _ model: String, at provider: String? = nil) throws -> Int64 {
        let version = try editor.publish(
            Price.Rates(input: input, output: 2 * input), perRequest: .zero, model: model, provider: provider)
        return try #require(version)
    }

    private func served() throws -> [String: [String]] {
        _ = try reader.reload()
        return reader.current.models.mapValues { $0.map(\.provider.name).sorted() }
    }

    @Test func `a model is removed at one provider, or at all of them`() throws {
        try add("small", at: "one")
        try add("small", at: "two")
        try add("large", at: "two")
        #expect(try editor.removeModel("small", provider: "nobody") == [])
        #expect(try editor.removeModel("small", provider: "one") == ["one"])
        #expect(try served() == ["small": ["two"], "large": ["two"]])
        try add("small", at: "one")
        #expect(try editor.removeModel("small", provider: nil) == ["one", "two"])
        #expect(try served() == ["large": ["two"]])
        #expect(try editor.removeModel("small", provider: nil) == [])
    }

    @Test func `a provider that serves models is removed only together with them`() throws {
        try add("small", at: "one")
        try add("large", at: "one")
        try add("small", at: "two")
        #expect(try editor.removeProvider("one", withModels: false) == .servesModels(["large", "small"]))
        #expect(try served() == ["small": ["one", "two"], "large": ["one"]])
        #expect(try editor.removeProvider("one", withModels: true) == .removed(models: ["large", "small"]))
        #expect(try served() == ["small": ["two"]])
        #expect(try editor.removeProvider("one", withModels: true) == .unknownProvider)
        #expect(try CatalogListing.providers(pool).map(\.name) == ["two"])
    }

    @Test func `prices outlive their provider, and count again when it comes back`() throws {
        try add("small", at: "one")
        let general = try publish(10, "small")
        let own = try publish(20, "small", at: "one")
        #expect(try editor.removeProvider("one", withModels: true) == .removed(models: ["small"]))
        let versions = try pool.query(
            Statement(name: "versions", sql: "SELECT version FROM prices ORDER BY 1"), [])
        #expect((0..<versions.count).map { versions.int($0, 0) } == [general, own])
        try add("small", at: "one")
        #expect(try CatalogListing.models(pool, of: nil).map { $0.price?.version } == [own])
    }

    @Test func `a provider is changed in what is given, and its old credential is forgotten`() throws {
        try add("small", at: "one")
        #expect(
            try editor.setProvider("nobody", baseURL: nil, credential: "x", allowsPrivateAddresses: nil)
                == nil)
        let first = try editor.setProvider("one", baseURL: nil, credential: nil, allowsPrivateAddresses: true)
        #expect(first?.baseURL == "https://one.example/v1")
        #expect(first?.allowsPrivateAddresses == true)
        let second = try editor.setProvider(
            "one", baseURL: "http://10.0.0.1/v1", credential: "new", allowsPrivateAddresses: nil)
        #expect(second?.allowsPrivateAddresses == true)
        #expect(try reader.reload() == [])
        let provider = try #require(reader.current.models["small"]?.first?.provider)
        #expect(provider.baseURL == "http://10.0.0.1/v1")
        #expect(provider.credential == "new")
        #expect(provider.allowsPrivateAddresses)
        let rows = try pool.query(
            Statement(name: "credentials", sql: "SELECT count(*) FROM provider_credentials"), [])
        #expect(rows.int(0, 0) == 1)
    }

    @Test func `the catalogue is listed with the prices in force`() throws {
        try add("small", at: "one")
        try add("small", at: "two")
        try add("large", at: "two")
        _ = try publish(10_000_000_000, "small")
        let own = try publish(20_000_000_000, "small", at: "two")
        let providers = try CatalogListing.providers(pool)
        #expect(providers.map(\.name) == ["one", "two"])
        #expect(providers.map(\.models) == [["small"], ["large", "small"]])
        #expect(providers.allSatisfy { !$0.allowsPrivateAddresses })
        let models = try CatalogListing.models(pool, of: nil)
        #expect(models.map(\.model) == ["large", "small", "small"])
        #expect(models.map(\.provider) == ["two", "one", "two"])
        #expect(models.map { $0.price?.input.description } == [nil, "10.000000000", "20.000000000"])
        #expect(models.last?.price?.version == own)
        #expect(models.last?.price?.output.description == "40.000000000")
        #expect(try CatalogListing.models(pool, of: "one").map(\.model) == ["small"])
        #expect(try CatalogListing.models(pool, of: "nobody") == [])
    }
}
