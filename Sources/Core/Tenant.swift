/// Who is billed.
package struct Tenant: Sendable, Hashable {
    /// Its name, also in Redis keys.
    package let id: TenantID
    /// A suspended tenant's keys are refused.
    package let isSuspended: Bool
    /// The IANA time zone in which its days and months are counted.
    package let timeZone: String
    /// What it may spend and ask for.
    package let limits: TenantLimits

    /// Creates a tenant as the catalogue of tenants knows it.
    package init(id: TenantID, isSuspended: Bool, timeZone: String, limits: TenantLimits) {
        self.id = id
        self.isSuspended = isSuspended
        self.timeZone = timeZone
        self.limits = limits
    }
}

/// The limits of a tenant; any change raises the version.
package struct TenantLimits: Sendable, Hashable {
    /// Rises with every change.
    package let version: Int64
    /// How far below zero the balance may go.
    package let creditLimit: Money
    /// Requests a day; nil means no limit, 0 refuses every request.
    package let dailyQuota: Int64?
    /// Requests a month; nil means no limit, 0 refuses every request.
    package let monthlyQuota: Int64?
    /// Requests a minute; nil means no limit.
    package let requestsPerMinute: Int64?
    /// Tokens a minute, of prompts and answers together; nil means no limit.
    package let tokensPerMinute: Int64?
    /// Requests that run at the same time; nil means no limit.
    package let concurrency: Int64?

    /// Creates limits.
    package init(
        version: Int64, creditLimit: Money, dailyQuota: Int64?, monthlyQuota: Int64?,
        requestsPerMinute: Int64? = nil, tokensPerMinute: Int64? = nil, concurrency: Int64? = nil
    ) {
        self.version = version
        self.creditLimit = creditLimit
        self.dailyQuota = dailyQuota
        self.monthlyQuota = monthlyQuota
        self.requestsPerMinute = requestsPerMinute
        self.tokensPerMinute = tokensPerMinute
        self.concurrency = concurrency
    }
}

/// How long an API key's budget lasts before it begins anew.
package enum BudgetPeriod: String, Sendable, CaseIterable {
    /// For ever.
    case total
    /// A day in the tenant's time zone.
    case day
    /// A month in the tenant's time zone.
    case month
}

/// What an API key may spend.
package struct KeyBudget: Sendable, Hashable {
    /// The most; nil means that the key has no budget any more.
    package let limit: Money?
    /// How long that is for.
    package let period: BudgetPeriod

    /// Creates a budget.
    package init(limit: Money?, period: BudgetPeriod) {
        self.limit = limit
        self.period = period
    }
}

/// A tenant's secret for calling us, without the secret.
package struct APIKey: Sendable, Hashable {
    /// The public part.
    package let id: APIKeyID
    /// What its owner calls it.
    package let label: String
    /// When it stops working, in Unix seconds; nil means never.
    package let expiresAtUnixSeconds: Int64?
    /// Whether it was revoked.
    package let isRevoked: Bool
    /// The models it may call; nil means all.
    package let allowedModels: Set<String>?
    /// What it may spend; nil when it never had a budget.
    package let budget: KeyBudget?

    /// Creates a key as the catalogue of keys knows it.
    package init(
        id: APIKeyID, label: String, expiresAtUnixSeconds: Int64?, isRevoked: Bool,
        allowedModels: Set<String>?, budget: KeyBudget? = nil
    ) {
        self.id = id
        self.label = label
        self.expiresAtUnixSeconds = expiresAtUnixSeconds
        self.isRevoked = isRevoked
        self.allowedModels = allowedModels
        self.budget = budget
    }
}

/// The authenticated tenant and the API key it used.
package struct Caller: Sendable, Hashable {
    /// Who is billed.
    package let tenant: Tenant
    /// Which key was shown.
    package let key: APIKey

    /// Creates a caller.
    package init(tenant: Tenant, key: APIKey) {
        self.tenant = tenant
        self.key = key
    }
}
