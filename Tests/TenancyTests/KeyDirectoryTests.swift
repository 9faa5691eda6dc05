import Core
import Postgres
import PrivateServers
import Tenancy
import TestSupport
import Testing

@Suite struct KeyDirectoryTests {
    /// A database of its own with one tenant, seen as the responder sees it.
    private struct Books {
        let database: SharedServers.Database
        let pool: PostgresPool
        let register: TenantRegister
        let pepper: Pepper
        let tenant: TenantID

        init() throws {
            database = try TestDatabase.make()
            pool = try TestDatabase.pool(database)
            register = TenantRegister(database: pool)
            pepper = try .forTests()
            tenant = try #require(TenantID("acme"))
            #expect(
                try register.create(
                    tenant, timeZone: "Europe/Berlin", creditLimit: Money(nanodollars: 5), dailyQuota: 7,
                    monthlyQuota: nil))
        }

        func key(models: [String]? = nil) throws -> SecretText {
            try #require(
                try register.createKey(for: tenant, label: "laptop", allowedModels: models, pepper: pepper))
        }

        func directory(keepSeconds: Int = 60) -> KeyDirectory {
            KeyDirectory(database: pool, pepper: pepper, keepSeconds: keepSeconds)
        }
    }

    /// The error a key is refused with; nil when it is not.
    private func refusal(
        _ directory: KeyDirectory, _ key: SecretText, at unixSeconds: Int64 = 1_000
    ) -> String? {
        do throws(TenancyError) {
            _ = try directory.caller(for: key, unixSeconds: unixSeconds)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func `a good key names its tenant and what both may do`() throws {
        let books = try Books()
        let key = try books.key(models: ["small", "large"])
        let caller = try books.directory().caller(for: key, unixSeconds: 0)
        #expect(caller.tenant.id == books.tenant)
        #expect(caller.tenant.timeZone == "Europe/Berlin")
        #expect(!caller.tenant.isSuspended)
        #expect(
            caller.tenant.limits
                == TenantLimits(
                    version: 1, creditLimit: Money(nanodollars: 5), dailyQuota: 7, monthlyQuota: nil))
        #expect(caller.key.id.description == key.id)
        #expect(caller.key.label == "laptop")
        #expect(caller.key.allowedModels == ["small", "large"])
        let unlimited = try books.key()
        #expect(try books.directory().caller(for: unlimited, unixSeconds: 0).key.allowedModels == nil)
    }

    @Test func `a revoked key is refused, for ever`() throws {
        let books = try Books()
        let key = try books.key()
        #expect(try books.register.revokeKey(key.id))
        #expect(refusal(books.directory(), key) == "revokedKey")
        #expect(try books.register.revokeKey(key.id))
        #expect(try !books.register.revokeKey("nosuchkey"))
    }

    @Test func `a key ends at its moment, not before`() throws {
        let books = try Books()
        let key = try books.key()
        try books.database.run("UPDATE api_keys SET expires_at = to_timestamp(2000)")
        let directory = books.directory()
        #expect(refusal(directory, key, at: 1_999) == nil)
        #expect(refusal(directory, key, at: 2_000) == "expiredKey")
    }

    @Test func `a suspended tenant's keys are refused`() throws {
        let books = try Books()
        let key = try books.key()
        try books.database.run("UPDATE tenants SET status = 'suspended'")
        #expect(refusal(books.directory(), key) == "suspendedTenant")
    }

    @Test func `a change is seen once the directory is told to forget`() throws {
        let books = try Books()
        let key = try books.key()
        let directory = books.directory()
        #expect(refusal(directory, key) == nil)
        #expect(try books.register.revokeKey(key.id))
        #expect(refusal(directory, key) == nil, "kept without a query")
        directory.forget()
        #expect(refusal(directory, key) == "revokedKey")
    }

    @Test func `a change is seen when a key has been kept for its time`() throws {
        let books = try Books()
        let key = try books.key()
        let directory = books.directory(keepSeconds: 0)
        #expect(refusal(directory, key) == nil)
        #expect(try books.register.revokeKey(key.id))
        #expect(refusal(directory, key) == "revokedKey")
    }

    @Test func `a key that nobody made is invalid, and so is one under another pepper`() throws {
        let books = try Books()
        let key = try books.key()
        #expect(refusal(books.directory(), SecretText.make(.apiKey)) == "invalidKey")
        let other = try #require(Pepper(String(repeating: "q", count: 32)))
        #expect(refusal(KeyDirectory(database: books.pool, pepper: other), key) == "invalidKey")
    }

    @Test func `the same id with another secret is invalid, also when the right one is known`() throws {
        let books = try Books()
        let key = try books.key()
        let directory = books.directory()
        #expect(refusal(directory, key) == nil)
        // Another secret's row under this id, as if somebody had guessed the public part.
        let other = try books.key()
        try books.database.run(
            "UPDATE api_keys SET secret_hash = (SELECT secret_hash FROM api_keys WHERE id = '\(other.id)')")
        directory.forget()
        #expect(refusal(directory, key) == "invalidKey")
    }

    @Test func `what is no key is invalid without a query`() throws {
        // Nobody listens there, so any query would be an error of another kind.
        let nowhere = PostgresPool(PostgresConfiguration(connectionString: "host='/nonexistent' dbname=none"))
        let pepper = try #require(Pepper(String(repeating: "p", count: 32)))
        let directory = KeyDirectory(database: nowhere, pepper: pepper)
        let key = SecretText.make(.apiKey)
        let good = key.text
        for text in [
            "", "tg_", "tg__", "tg_' OR 1=1 --_x", String(good.dropLast()) + "'", "tg_%_%", good + "\u{0}",
            "\u{0}" + good, String(repeating: "A", count: 10_000),
            "tg_" + String(repeating: "A", count: 10_000),
            good.replacing("_", with: "'"), "tga" + good.dropFirst(2), good.lowercased(), "Bearer " + good,
            "tg_é",
        ] where text != good {
            #expect(SecretText(text, kind: .apiKey) == nil, "\(text.prefix(60))")
            #expect(try !directory.isAdminToken(text))
        }
        #expect(refusal(directory, key)?.hasPrefix("unavailable") == true)
        #expect(throws: TenancyError.self) { try directory.isAdminToken(SecretText.make(.adminToken).text) }
    }

    @Test func `an admin token is good until it is revoked`() throws {
        let books = try Books()
        let token = try books.register.createAdminToken(label: "ops", pepper: books.pepper)
        let directory = books.directory()
        #expect(try directory.isAdminToken(token.text))
        #expect(try !directory.isAdminToken(SecretText.make(.adminToken).text))
        #expect(try !directory.isAdminToken(try books.key().text))
        try books.database.run("UPDATE admin_tokens SET revoked_at = now()")
        #expect(try !directory.isAdminToken(token.text))
    }

    @Test func `a full directory starts afresh and still answers`() throws {
        let books = try Books()
        let directory = KeyDirectory(database: books.pool, pepper: books.pepper, entriesMax: 2)
        let keys = try (0..<5).map { _ in try books.key() }
        for _ in 0..<2 {
            for key in keys { #expect(refusal(directory, key) == nil) }
        }
    }

    @Test func `only hashes are in the database`() throws {
        let books = try Books()
        let key = try books.key()
        let dump = try books.database.run("SELECT row_to_json(k) FROM api_keys k")
        #expect(dump.contains(key.id))
        #expect(!dump.contains(key.text.suffix(36)))
        #expect(!dump.contains(key.text.suffix(36).dropLast(6)))
    }

    @Test func `there is no key for a tenant that does not exist, and no second tenant of one name`() throws {
        let books = try Books()
        let nobody = try #require(TenantID("nobody"))
        #expect(
            try books.register.createKey(for: nobody, label: "", allowedModels: nil, pepper: books.pepper)
                == nil)
        #expect(
            try !books.register.create(
                books.tenant, timeZone: "UTC", creditLimit: .zero, dailyQuota: nil, monthlyQuota: nil))
        #expect(try books.register.tenant(nobody) == nil)
        #expect(try books.register.tenant(books.tenant)?.tenant.timeZone == "Europe/Berlin")
    }

    @Test func `tenants are listed by name, page by page`() throws {
        let books = try Books()
        for name in ["b", "a", "c"] {
            let tenant = try #require(TenantID(name))
            _ = try books.register.create(
                tenant, timeZone: "UTC", creditLimit: .zero, dailyQuota: nil, monthlyQuota: nil)
        }
        let first = try books.register.tenants(after: "", countMax: 2).map(\.tenant.id.description)
        let second = try books.register.tenants(after: "acme", countMax: 10).map(\.tenant.id.description)
        #expect(first == ["a", "acme"])
        #expect(second == ["b", "c"])
    }
}
