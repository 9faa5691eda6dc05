import ArgumentParser
import Core
import Gateway
import JSON
import Jobs
import Ledger
import Quota
import Settlement

/// What a job that copies from Redis looks at, and whether it only looks.
struct SyncOptions: ParsableArguments {
    @Flag(help: "All tenants, not only those that have changed.") var all = false
    @Option(help: "Only this tenant.") var tenant: String?
    @Flag(help: "Only compare Redis with the ledger: store nothing, tell Prometheus nothing.") var dryRun =
        false

    func validate() throws {
        guard !all || tenant == nil else { throw ValidationError("--all and --tenant exclude each other") }
    }
}

extension JobCommand {
    struct QuotaSync: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "quota-sync",
            abstract: "Copy balances from Redis into the table tenant_quotas, for people and audits.",
            discussion: """
                Each is compared with the ledger on the way. Differences are listed; exit status 1 when a tenant could not be \
                copied, or when more than a dollar differs.
                """)

        @OptionGroup var sync: SyncOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            try JobCommand.sync("quota-sync", sync, output) { stores, scope throws(JobError) in
                try QuotaSyncJob(
                    quota: stores.command.money.quota, ledger: stores.ledger, audit: stores.audit,
                    reconciler: stores.reconciler
                ).run(scope, isDryRun: sync.dryRun)
            }
        }
    }

    struct KeySync: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "apikey-sync",
            abstract: "Copy budgets of API keys from Redis into the table api_key_quotas.",
            discussion: """
                Each is compared with the ledger on the way. Differences are listed; exit status 1 when a tenant's budgets \
                could not be copied, or when more than a dollar differs.
                """)

        @OptionGroup var sync: SyncOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            try JobCommand.sync("apikey-sync", sync, output) { stores, scope throws(JobError) in
                try KeySyncJob(
                    ledger: stores.ledger, audit: stores.audit, reconciler: stores.reconciler
                ).run(scope, isDryRun: sync.dryRun)
            }
        }
    }

    /// How many tenants that differ are named: a line each is enough to begin with.
    static let differencesShown = 20

    private static func sync(
        _ job: String, _ options: SyncOptions, _ output: OutputOptions,
        _ work: (JobStores, SyncScope) throws(JobError) -> SyncSummary
    ) throws {
        let id = try options.tenant.map { try parseTenant($0) }
        let stores = try JobStores()
        if let id { _ = try stores.command.tenants.required(id) }
        guard try stores.hasImages(for: job) else { return }
        let scope = id.map { SyncScope.only($0) } ?? (options.all ? .all : .changed)
        let result = try stores.alone(job) { () throws(JobError) in try work(stores, scope) }
        guard let summary = result else { return }
        if let failure = summary.firstFailure { _ = fail(failure) }
        for difference in summary.differences.prefix(differencesShown) { _ = fail(difference) }
        if summary.differences.count > differencesShown {
            _ = fail(
                "and \(summary.differences.count - differencesShown) more; 'tollgate reconcile' lists all")
        }
        if output.json {
            printJSON([
                ("success", JSONValue(Int64(summary.success))),
                ("failure", JSONValue(Int64(summary.failure))),
                ("absent", JSONValue(Int64(summary.absent))), ("total", JSONValue(Int64(summary.total))),
                (
                    "differences",
                    .array(summary.differences.prefix(differencesShown).map { .string($0) })
                ),
                ("differing", JSONValue(Int64(summary.differences.count))),
                ("unexplained", .string(summary.unexplained.description)),
            ])
        } else {
            print(
                "\(job): \(summary.success) success, \(summary.failure) failure, \(summary.absent) not in Redis, "
                    + "\(summary.total) total; \(summary.differences.count) tenants differ, "
                    + "$\(summary.unexplained) unexplained")
        }
        if !options.dryRun, id == nil {
            try JobStores.publish(summary.metrics(of: job), of: job)
            try attempt { () throws(JobError) in try stores.alerts.quotaSyncDifference(summary, of: job) }
        }
        guard summary.failure == 0, !summary.isAlarming else { throw ExitCode.failure }
    }
}
