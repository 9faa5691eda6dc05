package import Core
package import Postgres
import Threads

/// Why a caller is not let in.
package enum TenancyError: Error, Sendable {
    /// No such key, or not the one it pretends to be.
    case invalidKey
    /// The key was revoked.
    case revokedKey
    /// The key's time is over.
    case expiredKey
    /// The tenant is suspended.
    case suspendedTenant
    /// It cannot be found out now.
    case unavailable(String)
}

/// Finds the caller behind an API key.
///
/// Keys once read are kept, until a change is announced or some time has passed.
package final class KeyDirectory: Sendable {
    private struct Entry: Sendable {
        let hash: [UInt8]
        let caller: Caller
        let readAt: Deadline
    }

    private let database: PostgresPool
    private let hasher: SecretHasher
    private let entriesMax: Int
    private let keepSeconds: Int
    private let state = Locked(State())

    private struct State {
        var entries: [String: Entry] = [:]
        /// Rises with every announced change: what was read before it is not kept.
        var generation = 0
    }

    /// Creates an empty directory.
    ///
    /// - Parameters:
    ///   - keepSeconds: How long a key is believed without a word from the database.
    ///   - entriesMax: The most keys kept.
    package init(database: PostgresPool, pepper: Pepper, keepSeconds: Int = 30, entriesMax: Int = 100_000) {
        self.database = database
        hasher = SecretHasher(pepper)
        self.keepSeconds = keepSeconds
        self.entriesMax = entriesMax
    }

    /// Forgets all keys: something about them or their tenants has changed.
    package func forget() {
        state.withLock { state in
            state.entries.removeAll(keepingCapacity: true)
            state.generation += 1
        }
    }

    /// The caller that an API key belongs to.
    ///
    /// - Parameter unixSeconds: The present time, for keys that expire.
    package func caller(for secret: SecretText, unixSeconds: Int64) throws(TenancyError) -> Caller {
        guard let entry = try entry(secret.id), hasher.matches(entry.hash, secret) else { throw .invalidKey }
        let key = entry.caller.key
        guard !key.isRevoked else { throw .revokedKey }
        if let expires = key.expiresAtUnixSeconds, expires <= unixSeconds { throw .expiredKey }
        guard !entry.caller.tenant.isSuspended else { throw .suspendedTenant }
        return entry.caller
    }

    private func entry(_ id: String) throws(TenancyError) -> Entry? {
        let (known, generation) = state.withLock { ($0.entries[id], $0.generation) }
        if let known, known.readAt.advanced(milliseconds: keepSeconds * 1_000) > .now { return known }
        do throws(PostgresError) {
            guard let read = try read(id) else { return nil }
            state.withLock { state in
                guard state.generation == generation else { return }
                if state.entries.count >= entriesMax { state.entries.removeAll(keepingCapacity: true) }
                state.entries[id] = read
            }
            return read
        } catch {
            throw .unavailable("\(error)")
        }
    }

    private func read(_ id: String) throws(PostgresError) -> Entry? {
        let rows = try database.query(TenancyStatements.readKey, [.text(id)])
        guard rows.count == 1, let tenant = TenantID(rows.text(0, 0)), let key = APIKeyID(id) else {
            return nil
        }
        let limits = TenantLimits(
            version: rows.int(0, 8), creditLimit: Money(nanodollars: rows.int(0, 9)),
            dailyQuota: rows.optionalInt(0, 10), monthlyQuota: rows.optionalInt(0, 11),
            requestsPerMinute: rows.optionalInt(0, 12), tokensPerMinute: rows.optionalInt(0, 13),
            concurrency: rows.optionalInt(0, 14))
        let models = rows.optionalText(0, 3).map { $0.split(separator: "\n").map { String($0) } }
        return Entry(
            hash: rows.bytes(0, 1),
            caller: Caller(
                tenant: Tenant(
                    id: tenant, isSuspended: rows.bool(0, 6), timeZone: rows.text(0, 7), limits: limits),
                key: APIKey(
                    id: key, label: rows.text(0, 2), expiresAtUnixSeconds: rows.optionalInt(0, 4),
                    isRevoked: rows.bool(0, 5), allowedModels: models.map { Set($0) },
                    budget: KeyBudget(rows, 0, limit: 15, period: 16))),
            readAt: .now)
    }

    /// Whether the text is an admin token that is good.
    package func isAdminToken(_ text: String) throws(TenancyError) -> Bool {
        guard let secret = SecretText(text, kind: .adminToken) else { return false }
        do throws(PostgresError) {
            let rows = try database.query(TenancyStatements.readAdminToken, [.text(secret.id)])
            return rows.count == 1 && hasher.matches(rows.bytes(0, 0), secret)
        } catch {
            throw .unavailable("\(error)")
        }
    }
}
