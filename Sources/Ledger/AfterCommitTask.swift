package import Core
import Postgres

/// What an after-commit task does.
package enum TaskKind: String, Sendable, CaseIterable {
    /// Tells a tenant's image of a credit.
    case credit
    /// Says that an API key has used most of its budget.
    case budgetWarning = "budget_warning"
    /// Sends an event to the operator's webhook.
    case webhook

    /// Whether the outbox keeps it when it is done, so that the same key does not bring it again.
    package var isKept: Bool { self == .budgetWarning }
}

/// Something to be done after a database transaction has committed, and written by that transaction itself.
///
/// It is done once a kind and key, and perhaps begun more than once: what it does must bear repeating.
package struct AfterCommitTask: Sendable, Hashable {
    /// What it does.
    package let kind: TaskKind
    /// What it is about; at most 300 characters.
    package let key: String
    /// Whose it is; nil for the installation.
    package let tenant: TenantID?
    /// All that doing it needs, in words that its kind understands.
    package let payload: String

    /// Creates a task.
    package init(kind: TaskKind, key: String, tenant: TenantID?, payload: String) {
        self.kind = kind
        self.key = key
        self.tenant = tenant
        self.payload = payload
    }

    /// The task of telling a tenant's image of a credit, as the ledger writes it with the credit.
    package static func credit(_ sequence: Int64, of tenant: TenantID) -> AfterCommitTask {
        AfterCommitTask(kind: .credit, key: "\(tenant):\(sequence)", tenant: tenant, payload: "\(sequence)")
    }
}

extension RowSettlement {
    /// Lets a task be written by the database transaction that ends the row, and only if it is that one which ends it.
    package mutating func afterCommit(_ task: AfterCommitTask) {
        precondition(task.tenant == tenant, "a request's tasks are its tenant's")
        tasks.append(task)
    }
}

extension [RowSettlement] {
    /// The tasks of these rows, as one statement takes them.
    var taskValues: [PostgresValue] {
        let tasks = flatMap { row in row.tasks.map { (row: row, task: $0) } }
        return [
            .textArray(tasks.map(\.row.tenant.description)), .uuidArray(tasks.map(\.row.trace.bits)),
            .textArray(tasks.map(\.task.kind.rawValue)), .textArray(tasks.map(\.task.key)),
            .textArray(tasks.map(\.task.payload)),
        ]
    }
}
