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
        _ id: TenantID, timeZone: String, creditLimit: Money, dailyQuota: Int64?, monthlyQuota: Int64?,
        requestsPerMinute: Int64? = nil, tokensPerMinute: Int64? = nil, concurrency: Int64? = nil
    ) throws(PostgresError) -> Bool {
        let rows = try database.query(
            TenancyStatements.insertTenant,
            [
                .text(id.description), .text(timeZone), .int(creditLimit.nanodollars),
                .int(orNull: dailyQuota), .int(orNull: monthlyQuota), .int(orNull: requestsPerMinute),
                .int(orNull: tokensPerMinute), .int(orNull: concurrency),
            ])
        return rows.count == 1
    }

    /// Changes a tenant's limits and raises their version, which is returned; nil when there is no such tenant.
    package func set(_ id: TenantID, _ change: TenantChange) throws(PostgresError) -> Int64? {
        let rows = try database.query(
            TenancyStatements.setTenant,
            [
                .text(id.description), .text(orNull: change.timeZone),
                .int(orNull: change.creditLimit?.nanodollars), change.dailyQuota.value,
                change.monthlyQuota.value, change.requestsPerMinute.value, change.tokensPerMinute.value,
                change.concurrency.value,
            ])
        return rows.count == 1 ? rows.int(0, 0) : nil
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
            dailyQuota: rows.optionalInt(row, 5), monthlyQuota: rows.optionalInt(row, 6),
            requestsPerMinute: rows.optionalInt(row, 8), tokensPerMinute: rows.optionalInt(row, 9),
            concurrency: rows.optionalInt(row, 10))
        let tenant = Tenant(
            id: id, isSuspended: rows.bool(row, 1), timeZone: rows.text(row, 2), limits: limits)
        return (tenant, rows.text(row, 7))
    }

    /// Creates an API key; its text exists only in the answer.
    ///
    /// Nil when there is no such tenant.
    package func createKey(
        for tenant: TenantID, label: String, allowedModels: [String]?, budget: KeyBudget? = nil,
        pepper: Pepper
    ) throws(PostgresError) -> SecretText? {
        let secret = SecretText.make(.apiKey)
        let rows = try database.query(
            TenancyStatements.insertKey,
            [
                .text(secret.id), .text(tenant.description), .text(label),
                .bytes(SecretHasher(pepper).hash(secret)),
                allowedModels.map { .textArray($0) } ?? .null, .int(orNull: budget?.limit?.nanodollars),
                .text(orNull: budget?.period.rawValue),
            ])
        return rows.count == 1 ? secret : nil
    }

    /// Changes an API key's budget, and raises the version of its tenant's limits; nil when there is no such key.
    ///
    /// - Parameters:
    ///   - limit: Nano-dollars, or none; nil leaves it as it is.
    ///   - period: How long it lasts; nil leaves it as it is.
    package func setBudget(
        ofKey id: String, limit: LimitChange?, period: BudgetPeriod?
    ) throws(PostgresError) -> (tenant: TenantID, budget: KeyBudget)? {
        let rows = try database.query(
            TenancyStatements.setBudget, [.text(id), limit.value, .text(orNull: period?.rawValue)])
        guard rows.count == 1, let tenant = TenantID(rows.text(0, 0)),
            let budget = KeyBudget(rows, 0, limit: 1, period: 2)
        else { return nil }
        return (tenant, budget)
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
                revokedAt: rows.optionalText(row, 7), budget: KeyBudget(rows, row, limit: 8, period: 9))
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
    /// What it may spend; nil when it never had a budget.
    package let budget: KeyBudget?
}

/// A limit's new value.
package enum LimitChange: Sendable, Hashable {
    /// No limit any more.
    case none
    /// This one.
    case to(Int64)

    /// So many requests a day or a month; nil when there can be no such quota.
    package static func quota(_ count: Int64) -> LimitChange? {
        (0...Money.limit.nanodollars).contains(count) ? .to(count) : nil
    }

    /// So many requests or tokens a minute, or requests at once, where 0 is no limit; nil when there can be no such limit.
    package static func rate(_ count: Int64) -> LimitChange? {
        guard (0...1_000_000_000_000).contains(count) else { return nil }
        return count == 0 ? LimitChange.none : .to(count)
    }

    /// So much money, where nothing is no limit.
    package static func budget(_ amount: Money) -> LimitChange {
        amount > .zero ? .to(amount.nanodollars) : .none
    }

    /// The limit; nil when there is to be none.
    package var limit: Int64? {
        if case .to(let limit) = self { limit } else { nil }
    }
}

/// What changes of a tenant; nil is what stays as it is.
package struct TenantChange: Sendable, Hashable {
    /// The time zone of its days and months.
    package var timeZone: String?
    /// How far below zero the balance may go.
    package var creditLimit: Money?
    /// Requests a day.
    package var dailyQuota: LimitChange?
    /// Requests a month.
    package var monthlyQuota: LimitChange?
    /// Requests a minute.
    package var requestsPerMinute: LimitChange?
    /// Tokens a minute.
    package var tokensPerMinute: LimitChange?
    /// Requests that run at the same time.
    package var concurrency: LimitChange?

    /// Creates a change of nothing; the rest is set by name.
    package init() {}
}

extension LimitChange? {
    /// As the statements take it.
    fileprivate var value: PostgresValue {
        switch self {
        case nil: .null
        case .some(.none): .int(-1)
        case .some(.to(let limit)): .int(limit)
        }
    }
}

extension KeyBudget {
    /// Reads a budget; nil when the key never had one.
    init?(_ rows: borrowing Rows, _ row: Int, limit: Int, period: Int) {
        guard let period = rows.optionalText(row, period).flatMap({ BudgetPeriod(rawValue: $0) }) else {
            return nil
        }
        self.init(limit: rows.optionalInt(row, limit).map { Money(nanodollars: $0) }, period: period)
    }
}
