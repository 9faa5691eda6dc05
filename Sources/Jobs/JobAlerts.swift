import Core
import JSON
package import Ledger
import Postgres
import Settlement
import Threads
import Webhooks

/// Tells the operator's webhook what a job found.
package struct JobAlerts: Sendable {
    private let outbox: OutboxStore
    private let hasWebhook: Bool

    /// Creates the alerts of a job.
    ///
    /// - Parameter hasWebhook: Whether there is anybody to be told; otherwise nothing is written.
    package init(outbox: OutboxStore, hasWebhook: Bool) {
        self.outbox = outbox
        self.hasWebhook = hasWebhook
    }

    /// How many tenants one event names.
    private static let tenantsMax = 20

    /// Tells that a check of the books has found something wrong, once a run.
    package func ledgerDrift(_ summary: ConsistencyJob.Summary) throws(JobError) {
        guard !summary.isExact else { return }
        let tenants = summary.differing.prefix(Self.tenantsMax).map { tenant in
            JSONValue.object([
                JSONMember("tenant", .string(tenant.tenant.description)),
                JSONMember("drift", .string(tenant.drift.description)),
            ])
        }
        try tell(
            .ledgerDrift,
            data: [
                ("drift", .string(summary.drift.description)),
                ("differing", JSONValue(Int64(summary.differing.count))), ("tenants", .array(tenants)),
                ("problems", .array(summary.problems.prefix(Self.tenantsMax).map { .string($0) })),
            ])
    }

    /// Tells that Redis and the ledger differed by more than a dollar when a job copied, once a run.
    package func quotaSyncDifference(_ summary: SyncSummary, of job: String) throws(JobError) {
        guard summary.isAlarming else { return }
        try tell(
            .quotaSyncDifference,
            data: [
                ("job", .string(job)), ("unexplained", .string(summary.unexplained.description)),
                ("differing", JSONValue(Int64(summary.differences.count))),
                ("differences", .array(summary.differences.prefix(Self.tenantsMax).map { .string($0) })),
            ])
    }

    private func tell(_ kind: WebhookEvent.Kind, data: [(String, JSONValue)]) throws(JobError) {
        guard hasWebhook else { return }
        let now = WallClock.unixMilliseconds
        let event = WebhookEvent(kind, about: "\(now)", unixSeconds: now / 1_000, data: data)
        try JobError.database { () throws(PostgresError) in
            _ = try outbox.write([AfterCommitTask(event, tenant: nil)])
        }
    }
}
