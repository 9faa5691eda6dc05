package import Core
package import Postgres

/// Creates and lists tenants and their secrets; what operators do.
package struct TenantRegister: Sendable {
    private let database: PostgresPool

    /// Creates the register of a database.
    package init(database: PostgresPool) {
        self.database = database
    }

    /// Creates a tenant; false when the name is taken.
    package func create(
        _ id: TenantID, timeZone: String, creditLimit: Money, dailyQuota: Int64?, monthlyQuota: Int64?
    ) throws(PostgresError) -> Bool {
        let rows = try database.query(
            TenancyStatements.insertTenant,
            [
                .text(id.description), .text(timeZone), .int(creditLimit.nanodollars),
                .int(orNull: dailyQuota),
                .int(orNull: monthlyQuota),
            ])
        return rows.count == 1
    }

    /// A tenant and when it was created; nil when there is none of that name.
    package func tenant(_ id: TenantID) throws(PostgresError) -> (tenant: Tenant, createdAt: String)? {
        let rows = try database.query(TenancyStatements.readTenant, [.text(id.description)])
        return rows.count == 1 ? TenantRegister.tenant(rows, 0) : nil
    }

    /// Tenants by name, after a name, a page of them.
    package func tenants(
        after name: String, countMax: Int
    ) throws(PostgresError) -> [(tenant: Tenant, createdAt: String)] {
        let rows = try database.query(TenancyStatements.listTenants, [.text(name), .int(Int64(countMax))])
        return (0..<rows.count).compactMap { TenantRegister.tenant(rows, $0) }
    }

    private static func tenant(_ rows: borrowing Rows, _ row: Int) -> (tenant: Tenant, createdAt: String)? {
        guard let id = TenantID(rows.text(row, 0)) else { return nil }
        let limits = TenantLimits(
            version: rows.int(row, 3), creditLimit: Money(nanodollars: rows.int(row, 4)),
            dailyQuota: rows.optionalInt(row, 5), monthlyQuota: rows.optionalInt(row, 6))
        let tenant = Tenant(
            id: id, isSuspended: rows.bool(row, 1), timeZone: rows.text(row, 2), limits: limits)
        return (tenant, rows.text(row, 7))
    }

    /// Creates an API key; its text exists only in the answer.
    ///
    /// Nil when there is no such tenant.
    package func createKey(
        for tenant: TenantID, label: String, allowedModels: [String]?, pepper: Pepper
    ) throws(PostgresError) -> SecretText? {
        let secret = SecretText.make(.apiKey)
        let rows = try database.query(
            TenancyStatements.insertKey,
            [
                .text(secret.id), .text(tenant.description), .text(label),
                .bytes(SecretHasher(pepper).hash(secret)),
                allowedModels.map { .textArray($0) } ?? .null,
            ])
        return rows.count == 1 ? secret : nil
    }

    /// Revokes an API key; false when there is none of that id.
    package func revokeKey(_ id: String) throws(PostgresError) -> Bool {
        try database.query(TenancyStatements.revokeKey, [.text(id)]).count == 1
    }

    /// API keys by tenant and age, of one tenant or of all, after a key, a page of them; their secrets are nowhere to be had.
    package func keys(
        of tenant: TenantID?, after id: String?, countMax: Int
    ) throws(PostgresError) -> [ListedKey] {
        let rows = try database.query(
            TenancyStatements.listKeys,
            [.text(orNull: tenant?.description), .text(orNull: id), .int(Int64(countMax))])
        return (0..<rows.count).map { row in
            ListedKey(
                id: rows.text(row, 0), tenant: rows.text(row, 1), label: rows.text(row, 2),
                allowedModels: rows.optionalText(row, 3)?.split(separator: "\n").map { String($0) },
                status: rows.text(row, 4), createdAt: rows.text(row, 5), expiresAt: rows.optionalText(row, 6),
                revokedAt: rows.optionalText(row, 7))
        }
    }

    /// Creates an admin token; its text exists only in the answer.
    package func createAdminToken(label: String, pepper: Pepper) throws(PostgresError) -> SecretText {
        let secret = SecretText.make(.adminToken)
        _ = try database.query(
            TenancyStatements.insertAdminToken,
            [.text(secret.id), .text(label), .bytes(SecretHasher(pepper).hash(secret))])
        return secret
    }
}

/// An API key as it is shown: nothing of its secret.
package struct ListedKey: Sendable, Equatable {
    /// Its public part.
    package let id: String
    /// Whose it is.
    package let tenant: String
    /// What its creator calls it.
    package let label: String
    /// The models it may call; nil means all.
    package let allowedModels: [String]?
    /// `active`, `expired` or `revoked`.
    package let status: String
    /// When it was created: UTC, ISO 8601.
    package let createdAt: String
    /// When it ends by itself; nil means never.
    package let expiresAt: String?
    /// When it was revoked; nil while it is not.
    package let revokedAt: String?
}
