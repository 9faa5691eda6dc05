package import Core
import Redis

/// A tenant's image as it is to be installed.
package struct ImageContents: Sendable {
    /// The epoch it is made for.
    package let epoch: Int64
    /// Credits − charges − pending holds.
    package let balance: Money
    /// The limits.
    package let limits: TenantLimits
    /// The last credit counted in the balance.
    package let creditSequence: Int64
    /// The day and month of the counters.
    package let period: Period
    /// Requests of the day so far.
    package let dailyUsed: Int64
    /// Requests of the month so far.
    package let monthlyUsed: Int64
    /// The budgets of its API keys.
    package let budgets: [BudgetContents]
    /// Pending holds, each as it is stored.
    package let holds: [(trace: String, hold: String)]

    /// Creates the contents of an image.
    package init(
        epoch: Int64, balance: Money, limits: TenantLimits, creditSequence: Int64, period: Period,
        dailyUsed: Int64,
        monthlyUsed: Int64, budgets: [BudgetContents] = [], holds: [(trace: String, hold: String)]
    ) {
        self.budgets = budgets
        self.epoch = epoch
        self.balance = balance
        self.limits = limits
        self.creditSequence = creditSequence
        self.period = period
        self.dailyUsed = dailyUsed
        self.monthlyUsed = monthlyUsed
        self.holds = holds
    }
}

/// An API key's budget as it is to be installed.
package struct BudgetContents: Sendable, Hashable {
    /// The API key.
    package let key: APIKeyID
    /// The budget.
    package let budget: KeyBudget
    /// Charges and pending holds of the image's day or month, or all of them.
    package let used: Money

    /// Creates the contents of a budget.
    package init(key: APIKeyID, budget: KeyBudget, used: Money) {
        self.key = key
        self.budget = budget
        self.used = used
    }
}

extension ImageContents {
    /// The limits of a minute, and of holds at once.
    fileprivate var rateFields: [String] {
        [limits.requestsPerMinute, limits.tokensPerMinute, limits.concurrency].map { limit in
            limit.map { String($0) } ?? ""
        }
    }

    /// Limit, use and period of each budget.
    fileprivate var budgetFields: [String] {
        budgets.flatMap { contents in
            let limit = contents.budget.limit.map { String($0.nanodollars) } ?? ""
            let period =
                switch contents.budget.period {
                case .total: "total"
                case .day: String(period.day)
                case .month: String(period.month)
                }
            return [limit, String(contents.used.nanodollars), period]
        }
    }

    /// Credit limit, and quota, count and period of the day and of the month.
    fileprivate var limitFields: [String] {
        let daily = limits.dailyQuota.map { String($0) } ?? ""
        let monthly = limits.monthlyQuota.map { String($0) } ?? ""
        return [
            String(limits.creditLimit.nanodollars), daily, String(dailyUsed), String(period.day), monthly,
            String(monthlyUsed), String(period.month),
        ]
    }
}

/// A tenant's image as it stands.
package struct TenantImage: Sendable, Hashable {
    /// The incarnation it belongs to.
    package let incarnation: Int64
    /// Its epoch.
    package let epoch: Int64
    /// The balance with all holds taken.
    package let balance: Money
    /// The last credit it counts.
    package let creditSequence: Int64
    /// The number of the last hold taken.
    package let version: Int64
    /// Requests of the day.
    package let dailyUsed: Int64
    /// Requests of the month.
    package let monthlyUsed: Int64
    /// The holds.
    package let holds: [StoredHold]

    /// All holds together.
    package var held: Money { holds.reduce(.zero) { $0 + $1.amount } }
}

extension QuotaStore {
    /// Takes or renews the lease on rebuilding a tenant's image, unless a valid one stands.
    package func takeLease(
        tenant: TenantID, token: String, milliseconds: Int, incarnation: Int64
    ) throws(QuotaError) -> LeaseReply {
        let keys = QuotaKeys(tenant)
        var reply = try evaluate(QuotaScripts.lease, [keys.warm, keys.tenant]) { arguments, _ in
            arguments.add(token)
            arguments.add(Int64(milliseconds))
            arguments.add(incarnation)
        }
        let word = reply.text()
        switch word {
        case "WARM": return .warm
        case "TAKEN": return .taken(epochSeen: try reply.int())
        case "BUSY": return .busy
        default: throw .unexpectedReply(word)
        }
    }

    /// Installs an image rebuilt from the ledger, if the lease is still the caller's.
    package func install(
        _ image: ImageContents, tenant: TenantID, token: String, incarnation: Int64
    ) throws(QuotaError) -> InstallReply {
        let keys = QuotaKeys(tenant)
        let hashes = [keys.tenant, keys.holds, keys.warm] + image.budgets.map { keys.budget(of: $0.key) }
        var reply = try evaluate(QuotaScripts.install, hashes) { arguments, _ in
            arguments.add(token)
            arguments.add(incarnation)
            arguments.add(image.epoch)
            arguments.add(image.balance.nanodollars)
            for field in image.limitFields { arguments.add(field) }
            arguments.add(image.creditSequence)
            arguments.add(image.limits.version)
            arguments.add("0")
            for field in image.rateFields + image.budgetFields { arguments.add(field) }
            for (trace, hold) in image.holds {
                arguments.add(trace)
                arguments.add(hold)
            }
        }
        let word = reply.text()
        switch word {
        case "OK": return .installed
        case "LOST": return .lost
        case "NEWER": return .newer
        default: throw .unexpectedReply(word)
        }
    }

    /// Drops a tenant's image unless it is as current as the ledger says.
    package func drop(
        tenant: TenantID, unlessEpoch epoch: Int64, creditSequence: Int64, limitsVersion: Int64
    ) throws(QuotaError) {
        let keys = QuotaKeys(tenant)
        _ = try evaluate(QuotaScripts.drop, [keys.tenant, keys.holds]) { arguments, _ in
            arguments.add(epoch)
            arguments.add(creditSequence)
            arguments.add(limitsVersion)
        }
    }

    /// A tenant's image and its holds; nil when there is none.
    ///
    /// Two reads: exact only while nothing changes.
    package func image(of tenant: TenantID) throws(QuotaError) -> TenantImage? {
        let keys = QuotaKeys(tenant)
        let names = ["inc", "epoch", "balance", "cseq", "ver", "daily_used", "monthly_used"]
        let fields = try command(["HMGET", keys.tenant] + names).elements ?? []
        let values = fields.map { Int64($0.text ?? "") }
        guard values.count == names.count, let incarnation = values[0] else { return nil }
        return TenantImage(
            incarnation: incarnation, epoch: values[1] ?? 0, balance: Money(nanodollars: values[2] ?? 0),
            creditSequence: values[3] ?? 0, version: values[4] ?? 0, dailyUsed: values[5] ?? 0,
            monthlyUsed: values[6] ?? 0, holds: try holds(of: tenant))
    }

    /// An API key's budget in its tenant's image; nil when the image has none.
    package func budget(of key: APIKeyID, tenant: TenantID) throws(QuotaError) -> BudgetUse? {
        let keys = QuotaKeys(tenant)
        let fields = ["epoch", "budget_limit", "budget_used"]
        let budget = try command(["HMGET", keys.budget(of: key)] + fields).elements ?? []
        let epoch = try command(["HGET", keys.tenant, "epoch"])
        guard budget.count == fields.count, budget[0].text != nil, budget[0].text == epoch.text,
            let limit = Int64(budget[1].text ?? ""), let used = Int64(budget[2].text ?? "")
        else { return nil }
        return BudgetUse(limit: Money(nanodollars: limit), used: Money(nanodollars: used))
    }

    /// A tenant's holds.
    ///
    /// Read by HSCAN, so that a large hash does not stop Redis.
    package func holds(of tenant: TenantID) throws(QuotaError) -> [StoredHold] {
        let key = QuotaKeys(tenant).holds
        var found: Set<StoredHold> = []
        var cursor = "0"
        repeat {
            let reply = try command(["HSCAN", key, cursor, "COUNT", "500"]).elements ?? []
            guard reply.count == 2, let entries = reply[1].elements else { throw .unexpectedReply("HSCAN") }
            cursor = reply[0].text ?? "0"
            for index in stride(from: 0, to: entries.count - 1, by: 2) {
                guard let trace = TraceID(entries[index].text ?? ""),
                    let hold = StoredHold(trace: trace, stored: entries[index + 1].text ?? "")
                else { throw .unexpectedReply("a hold of \(tenant)") }
                found.insert(hold)
            }
        } while cursor != "0"
        return found.sorted { $0.trace < $1.trace }
    }

    /// The tenants that have holds.
    package func tenantsWithHolds() throws(QuotaError) -> Set<TenantID> {
        var found: Set<TenantID> = []
        var cursor = "0"
        repeat {
            let reply =
                try command(["SCAN", cursor, "MATCH", "gw:quota:holds:*", "COUNT", "1000"]).elements ?? []
            guard reply.count == 2, let keys = reply[1].elements else { throw .unexpectedReply("SCAN") }
            cursor = reply[0].text ?? "0"
            for key in keys {
                if let tenant = QuotaKeys.tenant(ofHoldsKey: key.text ?? "") { found.insert(tenant) }
            }
        } while cursor != "0"
        return found
    }
}
