import Postgres
import PrivateServers
import Schema
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

@Suite struct NoticeTests {
    /// What is announced when the owner of the schema runs these statements.
    private func notices(after statements: [String], preparing preparation: [String] = []) throws -> [String]
    {
        let database = try TestDatabase.make()
        let server = try SharedServers.postgres()
        for sql in preparation { _ = try server.run(sql: sql, database: database.name) }
        let heard = Locked<[String]>([])
        let isConnected = Atomic(false)
        let listener = try PostgresListener(
            PostgresConfiguration(connectionString: database.connectionString),
            channels: ["tollgate_catalog", "tollgate_tenancy", "end"],
            callbacks: PostgresListener.Callbacks(
                onConnect: { isConnected.store(true, ordering: .releasing) },
                onNotification: { notification in heard.withLock { $0.append(notification.channel) } }))
        defer { listener.stop() }
        #expect(Eventually.holds { isConnected.load(ordering: .acquiring) })
        for sql in statements { _ = try server.run(sql: sql, database: database.name) }
        // Notifications arrive in the order of their commits.
        _ = try server.run(sql: "NOTIFY \"end\"", database: database.name)
        #expect(Eventually.holds { heard.withLock { $0.last == "end" } })
        return heard.withLock { $0.dropLast() }
    }

    private static let tenant = ["INSERT INTO tenants (id) VALUES ('a')"]

    @Test(arguments: [
        "UPDATE tenants SET status = 'suspended'", "UPDATE tenants SET limits_version = 2",
        "INSERT INTO admin_tokens (id, token_hash) VALUES ('x', '')",
        "UPDATE api_keys SET revoked_at = now()",
    ])
    func `what changes who may call is announced`(sql: String) throws {
        #expect(try notices(after: [sql], preparing: Self.tenant) == ["tollgate_tenancy"])
    }

    @Test(arguments: [
        "INSERT INTO providers (name, base_url) VALUES ('p', 'http://x')",
        """
        INSERT INTO prices (model, input, cached_input, cache_write, cache_write_hour, output, reasoning, audio_input,
            audio_output) VALUES ('m', 1, 1, 1, 1, 1, 1, 1, 1)
        """,
    ])
    func `what changes who serves at what price is announced`(sql: String) throws {
        #expect(try notices(after: [sql]) == ["tollgate_catalog"])
    }

    @Test func `a credit empties no cache`() throws {
        let sql = "UPDATE tenants SET credit_seq = credit_seq + 1"
        #expect(try notices(after: [sql], preparing: Self.tenant).isEmpty)
    }
}
