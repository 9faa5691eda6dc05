import ArgumentParser
import Foundation
import Gateway
import Jobs
import Ledger
import Observability
import Postgres
import Settlement

/// What commands that read or write much begin with: the stores, with time for long statements.
struct JobStores {
    let command: CommandStores
    let ledger: LedgerStore
    let audit: LedgerAudit

    /// How long one statement of a job may take.
    private static let statementMilliseconds = 600_000

    /// Reads the environment, and learns which life of Redis answers.
    init() throws {
        command = try CommandStores(redisMillisecondsMin: 10_000)
        var configuration = command.configuration.databaseConfiguration(
            name: "tollgate-job", connectionsMax: 2)
        configuration.statementTimeoutMilliseconds = Self.statementMilliseconds
        ledger = LedgerStore(database: PostgresPool(configuration))
        var lookups = configuration
        lookups.connectionsMax = 1
        lookups.sessionSettings = LedgerAudit.sessionSettings
        audit = LedgerAudit(lookups: PostgresPool(lookups), scans: ledger.database)
    }

    /// What the operator's webhook is told.
    var alerts: JobAlerts {
        JobAlerts(outbox: command.money.outbox, hasWebhook: command.configuration.webhookURL != nil)
    }

    var reconciler: Reconciler { Reconciler(quota: command.money.quota, ledger: ledger, audit: audit) }

    /// Learns which life of Redis answers; false when there is nothing in Redis to look at, which is said.
    func hasImages(for job: String) throws -> Bool {
        let isInUse = try attempt { () throws(SettlementError) in try command.money.registerRedis() }
        if !isInUse { print("\(job): reservations are made in PostgreSQL; Redis is not in use") }
        return isInUse
    }

    /// Does a job's work alone: nil when another process is at it, which is said.
    func alone<Value>(_ job: String, _ work: () throws(JobError) -> Value) throws -> Value? {
        let result = try attempt { try ledger.withJobLock(job, work) }
        if result == nil { print("\(job): another process runs it; nothing to do") }
        return result
    }

    /// Tells Prometheus what a job found, when the processes of tollgated share their metrics somewhere.
    static func publish(_ metrics: [JobMetric] = [], of job: String) throws {
        let settings = Settings(environment: ProcessInfo.processInfo.environment)
        let directory =
            settings.optionalText("TOLLGATE_RUNTIME_DIR") ?? settings.optionalText("RUNTIME_DIRECTORY")
        guard let directory else { return }
        try attempt { () throws(SharedMetricsError) in
            try JobMetric.publish(metrics, of: job, in: directory)
        }
    }
}
