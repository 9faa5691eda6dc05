import ArgumentParser
import Core
import Foundation
import Gateway
import JSON
import Jobs
import Ledger
import Postgres
import Schema
import Settlement

/// The command `tollgate transactions …`.
struct TransactionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transactions", abstract: "Look at billing transactions.",
        subcommands: [List.self, Show.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List billing transactions, the newest first.")

        @Option(help: "Only this tenant's.") var tenant: String?
        @Option(help: "Only pending, committed or voided ones.") var status: String?
        @Option(help: "Only those before this trace id: the next page.") var before: String?
        @Option(help: "The most rows.") var limit = 20
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try tenant.map { try parseTenant($0) }
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit: 1 to 10000") }
            let state = try status.map { text in
                guard let state = TransactionStatus(rawValue: text) else {
                    throw ValidationError("--status: pending, committed or voided")
                }
                return state
            }
            let trace = try before.map { text in
                guard let trace = TraceID(text) else { throw ValidationError("--before: a trace id") }
                return trace
            }
            let stores = try CommandStores()
            let rows = try attempt {
                try LedgerReader.transactions(
                    stores.money.database, of: id, before: trace, status: state, countMax: limit)
            }
            if output.json {
                var writer = JSONWriter()
                writer.beginObject()
                writer.key("data")
                writer.beginArray()
                for row in rows { row.write(to: &writer) }
                writer.endArray()
                writer.endObject()
                print(String(decoding: writer.bytes, as: UTF8.self))
            } else {
                printTable(
                    [
                        "trace", "tenant", "status", "model", "in", "out", "hold", "charge", "usage", "ms",
                        "error",
                    ],
                    rows.map { row in
                        [
                            row.trace, row.tenant, row.status, row.model, "\(row.usage.promptTotal)",
                            "\(row.usage.completionTotal)", "\(row.hold)", "\(row.charge)",
                            row.usageSource ?? "",
                            row.latencyMilliseconds.map { "\($0)" } ?? "",
                            row.errorCode ?? row.interruptedBy ?? "",
                        ]
                    })
            }
        }
    }
}

/// The command `tollgate migrate`.
struct MigrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema to this version, as TOLLGATE_MIGRATE_DATABASE's role.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        guard let database = environment["TOLLGATE_MIGRATE_DATABASE"] ?? environment["TOLLGATE_DATABASE"]
        else {
            throw fail(
                "TOLLGATE_MIGRATE_DATABASE is not set: the libpq connection string of the schema's owner")
        }
        var configuration = PostgresConfiguration(
            connectionString: database, applicationName: "tollgate-migrate")
        configuration.statementTimeoutMilliseconds = 3_600_000
        let applied = try attempt { try Migrator(database: PostgresPool(configuration)).migrate() }
        if output.json {
            printJSON([
                ("version", JSONValue(Int64(Migrator.currentVersion))),
                ("applied", .array(applied.map { JSONValue(Int64($0.version)) })),
            ])
        } else if applied.isEmpty {
            print("The schema is at version \(Migrator.currentVersion) already.")
        } else {
            for migration in applied { print("Applied \(migration.version) \(migration.name)") }
        }
    }
}

/// The command `tollgate job …`.
struct JobCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job", abstract: "Run what timers run.",
        subcommands: [
            Sweep.self, Outbox.self, Consistency.self, Rollup.self, QuotaSync.self, KeySync.self, Prune.self,
        ])

    struct Sweep: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End what dead processes left: pending transactions and holds.")

        @Option(help: "Only this tenant's.") var tenant: String?
        @Flag(help: "Only count what would be ended: end nothing, tell Prometheus nothing.") var dryRun =
            false
        @Option(help: "How old, in seconds, a hold without a transaction must be.") var holdGraceSeconds = 30
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard (1...86_400).contains(holdGraceSeconds) else {
                throw ValidationError("--hold-grace-seconds: 1 to 86400")
            }
            let id = try tenant.map { try parseTenant($0) }
            let stores = try CommandStores()
            if let id { _ = try stores.tenants.required(id) }
            let hasImages = try attempt { () throws(SettlementError) in try stores.money.registerRedis() }
            let sweeper = Sweeper(
                ledger: stores.money.ledger, writer: stores.money.writer, quota: stores.money.quota,
                holdGraceSeconds: holdGraceSeconds)
            let result = try attempt {
                try stores.money.ledger.withJobLock("sweep") { () throws(JobError) in
                    try sweeper.run(only: id, isDryRun: dryRun, withHolds: hasImages)
                }
            }
            guard let summary = result else {
                if output.json {
                    printJSON([("already_running", .bool(true))])
                } else {
                    print("sweep: another process is sweeping; nothing to do")
                }
                return
            }
            if output.json {
                printJSON([
                    ("committed", JSONValue(Int64(summary.committed))),
                    ("voided", JSONValue(Int64(summary.voided))),
                    ("holds_settled", JSONValue(Int64(summary.holdsSettled))),
                    ("holds_released", JSONValue(Int64(summary.holdsReleased))),
                    ("alive", JSONValue(Int64(summary.alive))), ("failed", JSONValue(Int64(summary.failed))),
                ])
            } else {
                print(
                    "sweep: \(summary.committed) committed, \(summary.voided) voided, \(summary.holdsSettled) holds settled, "
                        + "\(summary.holdsReleased) holds released, \(summary.alive) still running, \(summary.failed) failed"
                )
            }
            if !dryRun, id == nil { try JobStores.publish(of: "sweep") }
            guard summary.failed == 0 else { throw ExitCode.failure }
        }
    }
}
