import ArgumentParser
import Core
import Foundation
import Gateway
import JSON
import Jobs
import Ledger
import Settlement

extension JobCommand {
    struct Consistency: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that the ledger and Redis agree to the nano-dollar, while requests run.",
            discussion: """
                Compares each tenant's image in Redis with the ledger, computes recent charges again from usage and price, \
                and sums up again what was rolled up. Exit status 1 when anything differs; \
                'tollgate reconcile --explain TENANT' shows what is behind it.
                """)

        @Option(help: "Only compare this tenant's two sides.") var tenant: String?
        @Flag(help: "Tell Prometheus nothing.") var dryRun = false
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try tenant.map { try parseTenant($0) }
            let stores = try JobStores()
            if let id { _ = try stores.command.tenants.required(id) }
            guard try stores.hasImages(for: "consistency") else { return }
            let job = ConsistencyJob(
                reconciler: stores.reconciler, ledger: stores.ledger, audit: stores.audit)
            let result = try stores.alone("consistency") { () throws(JobError) in
                if let id { try job.run(only: id) } else { try job.run() }
            }
            guard let summary = result else { return }
            if output.json { Self.printJSON(summary) } else { Self.printText(summary) }
            if !dryRun, id == nil {
                try JobStores.publish(summary.metrics, of: "consistency")
                try attempt { () throws(JobError) in try stores.alerts.ledgerDrift(summary) }
            }
            guard summary.isExact else { throw ExitCode.failure }
        }

        private static func printJSON(_ summary: ConsistencyJob.Summary) {
            printJSONList(
                summary.differing.map { ReconcileCommand.members($0) },
                [
                    ("exact", .bool(summary.isExact)), ("drift", .string(summary.drift.description)),
                    ("compared", JSONValue(Int64(summary.compared))),
                    ("not_loaded", JSONValue(Int64(summary.notLoaded))),
                    ("holds", JSONValue(Int64(summary.holds))),
                    ("holds_oldest_seconds", JSONValue(summary.oldestHoldSeconds)),
                    ("charges_computed_again", JSONValue(summary.charges)),
                    ("rows_summed_up_again", JSONValue(summary.rows)),
                    ("problems", .array(summary.problems.map { .string($0) })),
                ])
        }

        private static func printText(_ summary: ConsistencyJob.Summary) {
            for tenant in summary.differing.prefix(differencesShown) {
                print("\(tenant.tenant): \(tenant.words)")
            }
            if summary.differing.count > differencesShown {
                print(
                    "and \(summary.differing.count - differencesShown) more; 'tollgate reconcile' lists all")
            }
            for problem in summary.problems { print(problem) }
            let holds =
                summary.holds == 0
                ? "no holds" : "\(summary.holds) holds, the oldest \(summary.oldestHoldSeconds) s old"
            print(
                "consistency: \(summary.isExact ? "exact" : "NOT EXACT"), drift $\(summary.drift) of "
                    + "\(summary.differing.count) tenants, \(summary.problems.count) other problems; "
                    + "\(summary.compared) tenants compared, \(summary.notLoaded) not loaded, \(holds), "
                    + "\(summary.charges) charges computed and \(summary.rows) rows summed up again")
        }
    }

    struct Rollup: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add ended transactions to the sums by key, day and hour.",
            discussion: """
                Rebuilding an image and checking the books read these sums and only the rows behind them. Transactions with \
                a trace id older than --behind-minutes are not begun any more.
                """)

        @Option(help: "How old transactions must be; more than clocks of hosts may differ.")
        var behindMinutes = 120
        @Flag(help: "Only count what would be added: change nothing, tell Prometheus nothing.") var dryRun =
            false
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard (1...10_080).contains(behindMinutes) else {
                throw ValidationError("--behind-minutes: 1 to 10080")
            }
            let stores = try JobStores()
            let job = RollupJob(ledger: stores.ledger, behindSeconds: behindMinutes * 60)
            let result = try stores.alone("rollup") { () throws(JobError) in
                try dryRun ? job.dryRun() : job.run()
            }
            guard let summary = result else { return }
            let moment = Date(timeIntervalSince1970: Double(summary.watermark.unixMilliseconds) / 1_000)
            if output.json {
                printJSON([
                    ("rows", JSONValue(summary.rows)), ("steps", JSONValue(Int64(summary.steps))),
                    ("up_to", .string(moment.formatted(.iso8601))), ("held_back", .bool(summary.isHeldBack)),
                ])
            } else {
                print(
                    "rollup: \(summary.rows) transactions in \(summary.steps) steps, all up to "
                        + moment.formatted(.iso8601)
                        + (summary.isHeldBack ? ", where one is still pending" : ""))
            }
            if !dryRun { try JobStores.publish(of: "rollup") }
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make room for the months ahead, and remove what nobody needs; never transactions.")

        @Flag(help: "Only count what would be made and removed: change nothing, tell Prometheus nothing.")
        var dryRun = false
        @OptionGroup var output: OutputOptions

        func run() throws {
            let stores = try JobStores()
            // Its number must not be removed.
            _ = try attempt { () throws(SettlementError) in try stores.command.money.registerRedis() }
            let job = PruneJob(ledger: stores.ledger)
            let result = try stores.alone("prune") { () throws(JobError) in
                try job.run(isDryRun: dryRun)
            }
            guard let summary = result else { return }
            if output.json {
                printJSON([
                    ("partitions_made", JSONValue(summary.partitions)),
                    ("checkpoints_removed", JSONValue(Int64(summary.checkpoints))),
                    ("owners_removed", JSONValue(Int64(summary.owners))),
                    ("incarnations_removed", JSONValue(summary.incarnations)),
                    ("idempotency_keys_removed", JSONValue(Int64(summary.keys))),
                    ("warnings_removed", JSONValue(Int64(summary.warnings))),
                ])
            } else {
                print(
                    "prune: \(summary.partitions) partitions made; \(summary.checkpoints) checkpoints, "
                        + "\(summary.owners) owners, \(summary.incarnations) incarnations, "
                        + "\(summary.keys) idempotency keys, "
                        + "\(summary.warnings) warnings removed")
            }
            if !dryRun { try JobStores.publish(of: "prune") }
        }
    }
}
