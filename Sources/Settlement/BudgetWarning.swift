package import Core
import JSON
package import Ledger
import Threads
package import Webhooks

/// An API key has used nine tenths of its budget, once in its period.
package struct BudgetWarning: Sendable, Equatable {
    /// Who is billed.
    package let tenant: TenantID
    /// The API key.
    package let key: APIKeyID
    /// The day, the month, or `total`.
    package let period: String
    /// The budget.
    package let limit: Money
    /// What is gone of it, running requests at their holds.
    package let used: Money

    /// The warning that a settlement brings; nil while less is used.
    ///
    /// - Parameter used: With the settlement's own charge.
    package init?(
        tenant: TenantID, key: APIKeyID, budget: BudgetPeriod, in period: Period, limit: Money, used: Money
    ) {
        guard used.nanodollars >= limit.nanodollars - limit.nanodollars / 10 else { return nil }
        self.tenant = tenant
        self.key = key
        self.limit = limit
        self.used = used
        self.period =
            switch budget {
            case .total: "total"
            case .day: String(period.day)
            case .month: String(period.month)
            }
    }

    /// The task of giving the warning; once a key and period.
    package var task: AfterCommitTask {
        let payload = JSONValue.object(data.map { JSONMember($0.0, $0.1) }).encoded
        return AfterCommitTask(
            kind: .budgetWarning, key: subject, tenant: tenant,
            payload: String(decoding: payload, as: UTF8.self))
    }

    /// Reads the task of giving a warning; nil when it is of another form.
    package init?(_ task: AfterCommitTask) {
        // Whatever is wrong with it, it cannot be read.
        guard let tenant = task.tenant, let data = try? JSONValue(parsing: Array(task.payload.utf8)),
            let key = data["api_key"]?.stringValue.flatMap({ APIKeyID($0) }),
            let period = data["period"]?.stringValue,
            let limit = data["budget"]?.stringValue.flatMap({ Money(decimal: $0) }),
            let used = data["used"]?.stringValue.flatMap({ Money(decimal: $0) })
        else { return nil }
        self.tenant = tenant
        self.key = key
        self.period = period
        self.limit = limit
        self.used = used
    }

    /// What the webhook is told.
    package func event(unixSeconds: Int64) -> WebhookEvent {
        WebhookEvent(.budgetWarning, about: subject, unixSeconds: unixSeconds, data: data)
    }

    private var subject: String { "\(tenant):\(key):\(period)" }

    private var data: [(String, JSONValue)] {
        [
            ("tenant", .string(tenant.description)), ("api_key", .string(key.description)),
            ("period", .string(period)), ("budget", .string(limit.description)),
            ("used", .string(used.description)),
        ]
    }
}

/// Which keys have been warned about: a process does not ask the ledger again with each of their requests.
package final class BudgetWarnings: Sendable {
    private let given = Locked<[APIKeyID: String]>([:])
    private let keysMax: Int

    /// Creates an empty memory.
    ///
    /// - Parameter keysMax: The most keys it knows; beyond, it forgets all, and the ledger knows them still.
    package init(keysMax: Int = 100_000) {
        self.keysMax = keysMax
    }

    /// Whether a key is known to have been warned about in that period.
    package func contains(_ warning: BudgetWarning) -> Bool {
        given.withLock { $0[warning.key] == warning.period }
    }

    /// Notes that the ledger has the warning.
    package func note(_ warning: BudgetWarning) {
        given.withLock { given in
            if given.count >= keysMax { given.removeAll(keepingCapacity: true) }
            given[warning.key] = warning.period
        }
    }
}
