package import Core
import Redis

/// A tenant's image and its holds, all read at one moment.
package struct ImageReading: Sendable {
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
    /// The day and month of the counters.
    package let period: Period
    /// The version of its limits.
    package let limitsVersion: Int64
    /// The budgets that were asked for and that it has, by API key.
    package let budgets: [(key: String, budget: StoredBudget)]
    /// The holds.
    package let holds: [StoredHold]

    /// All holds together.
    package var held: Money { holds.reduce(.zero) { $0 + $1.amount } }

    init(_ reply: inout ScriptReply, of tenant: TenantID, keys: [String]) throws(QuotaError) {
        epoch = try reply.int()
        balance = try reply.money()
        creditSequence = try reply.int()
        version = try reply.int()
        dailyUsed = try reply.int()
        period = Period(day: Int32(clamping: try reply.int()))
        monthlyUsed = try reply.int()
        // The month is that of the day.
        _ = try reply.int()
        limitsVersion = try reply.int()
        reply.endLine()
        var budgets: [(key: String, budget: StoredBudget)] = []
        for key in keys {
            if let limit = try reply.optionalInt() {
                let used = Money(nanodollars: try reply.int())
                let budget = StoredBudget(
                    limit: Money(nanodollars: limit), used: used, period: reply.restOfLine())
                budgets.append((key, budget))
            }
            reply.endLine()
        }
        self.budgets = budgets
        var holds: [StoredHold] = []
        while !reply.isAtEnd {
            guard let trace = TraceID(reply.text()),
                let hold = StoredHold(trace: trace, stored: reply.restOfLine())
            else { throw .unexpectedReply("a hold of \(tenant)") }
            holds.append(hold)
            reply.endLine()
        }
        self.holds = holds
    }
}

/// An API key's budget as Redis has it.
package struct StoredBudget: Sendable, Hashable {
    /// The budget.
    package let limit: Money
    /// What was used of it.
    package let used: Money
    /// The period that this counts in, as it is stored.
    package let period: String
}

extension QuotaStore {
    /// Reads the images of several tenants in one round trip, each with its holds at one moment; nil where there is no valid one.
    ///
    /// - Parameter budgets: The API keys of each tenant whose budgets are read with its image.
    /// - Returns: The readings in the order of the tenants, and why one could not be read.
    package func read(
        _ tenants: [TenantID], budgets: [TenantID: [String]] = [:]
    ) -> [Result<ImageReading?, QuotaError>] {
        let calls = tenants.map { tenant in
            let keys = QuotaKeys(tenant)
            let hashes = (budgets[tenant] ?? []).map { keys.budget(of: $0) }
            return ScriptCall(QuotaScripts.read, keys: [keys.tenant, keys.holds] + hashes) {
                [self] list, facts in list.add(number(of: facts.identity))
            }
        }
        do throws(QuotaError) {
            return zip(tenants, try evaluate(calls)).map { tenant, reply in
                reply.flatMap { reply in Self.reading(reply, of: tenant, keys: budgets[tenant] ?? []) }
            }
        } catch {
            return tenants.map { _ in .failure(error) }
        }
    }

    private static func reading(
        _ reply: RedisReply, of tenant: TenantID, keys: [String]
    ) -> Result<ImageReading?, QuotaError> {
        Result { () throws(QuotaError) in
            guard case .bulk(let bytes) = reply else { throw .unexpectedReply("quota_read of \(tenant)") }
            var reply = ScriptReply(bytes: bytes)
            let word = reply.text()
            switch word {
            case "MISS": return nil
            case "OK": return try ImageReading(&reply, of: tenant, keys: keys)
            default: throw .unexpectedReply(word)
            }
        }
    }

    // MARK: - Who has changed

    /// Takes tenants out of the set of those whose images have changed, some thousand at most.
    package func takeDirtyTenants(countMax: Int) throws(QuotaError) -> [TenantID] {
        let names = try command(["SPOP", QuotaKeys.dirty, String(countMax)]).elements ?? []
        return names.compactMap { TenantID($0.text ?? "") }
    }

    /// The tenants in that set, which stay there.
    package func dirtyTenants() throws(QuotaError) -> [TenantID] {
        let names = try command(["SMEMBERS", QuotaKeys.dirty]).elements ?? []
        return names.compactMap { TenantID($0.text ?? "") }
    }

    /// Puts tenants back that could not be stored.
    package func putBackDirtyTenants(_ tenants: [TenantID]) throws(QuotaError) {
        guard !tenants.isEmpty else { return }
        _ = try command(["SADD", QuotaKeys.dirty] + tenants.map(\.description))
    }
}
