import ArgumentParser
import Foundation
import Gateway
import JSON
import Jobs
import Ledger
import Postgres
import Settlement

extension JobCommand {
    struct Outbox: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Do after-commit tasks: of processes that died, and those that failed before.",
            discussion: """
                Tells images of credits, gives budget warnings and sends events to the webhook. What fails is tried again with \
                growing pauses for a day and then given up; credits never are. Exit status 1 when anything failed.
                """)

        @Option(help: "Only this tenant's.") var tenant: String?
        @Flag(help: "Say what is due, and do nothing.") var dryRun = false
        @Flag(help: "Try once more what was given up.") var retryDead = false
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try tenant.map { try parseTenant($0) }
            let webhook = try Self.webhook()
            let stores = try CommandStores()
            if let id { _ = try stores.tenants.required(id) }
            if dryRun {
                let figures = try attempt { () throws(PostgresError) in
                    try stores.money.outbox.figures(of: id)
                }
                tell(OutboxRunner.Summary(), revived: 0, figures)
                return
            }
            // Redis need not answer: credits then wait, and all else is done.
            _ = try? stores.money.registerRedis()
            let runner = stores.money.outboxRunner(webhook: webhook) { Self.tell($0) }
            let job = OutboxJob(outbox: stores.money.outbox, runner: runner)
            let summary = try attempt { () throws(JobError) in try job.run(of: id, revives: retryDead) }
            tell(summary.run, revived: summary.revived, summary.figures)
            if id == nil { try JobStores.publish(summary.metrics, of: "outbox") }
            let isClean = summary.run.failed + summary.run.untried + summary.run.dead == 0
            guard isClean else { throw ExitCode.failure }
        }

        /// Where events go; a mistake in it ends the command.
        private static func webhook() throws -> WebhookConfiguration? {
            var settings = Settings(environment: ProcessInfo.processInfo.environment)
            let webhook = WebhookConfiguration(&settings)
            guard settings.mistakes.isEmpty else {
                throw fail(settings.mistakes.joined(separator: "\ntollgate: "))
            }
            return webhook
        }

        private static func tell(_ notice: OutboxRunner.Notice) {
            let words =
                switch notice {
                case .budgetWarning(let warning):
                    "API key \(warning.key) of \(warning.tenant) has used $\(warning.used) of its budget of "
                        + "$\(warning.limit) (\(warning.period))"
                case .failed(let task, let attempts, let error):
                    "\(task.kind.rawValue) \(task.key) failed (attempt \(attempts)): \(error)"
                case .dead(let task, let attempts, let error):
                    "\(task.kind.rawValue) \(task.key) is given up after \(attempts) attempts: \(error)"
                }
            FileHandle.standardError.write(Data("tollgate: \(words)\n".utf8))
        }

        private func tell(_ run: OutboxRunner.Summary, revived: Int, _ figures: OutboxFigures) {
            if output.json {
                printJSON([
                    ("done", JSONValue(Int64(run.done))), ("failed", JSONValue(Int64(run.failed))),
                    ("given_up", JSONValue(Int64(run.dead))), ("untried", JSONValue(Int64(run.untried))),
                    ("revived", JSONValue(Int64(revived))), ("due", JSONValue(figures.due)),
                    ("open", JSONValue(figures.open)), ("oldest_seconds", JSONValue(figures.oldestSeconds)),
                    ("dead", JSONValue(figures.dead)),
                ])
            } else {
                let age = figures.open == 0 ? "" : ", the oldest \(figures.oldestSeconds) s old"
                print(
                    "outbox: \(run.done) done, \(run.failed) failed, \(run.dead) given up, \(run.untried) untried; "
                        + "\(figures.due) due, \(figures.open) open\(age), \(figures.dead) dead")
            }
        }
    }
}
