import Core
import CoreMetrics
import Ledger
import Logging
import Observability
import Postgres
import Settlement
import Threads

/// Does this process's after-commit tasks right after they were committed, on a thread of its own: a webhook may take its time, and
/// no request waits for it.
///
/// What fails, and what a process leaves that dies, is left to the job.
struct AfterCommit: Sendable {
    private let bell: TaskBell
    private let crashPoints: CrashPoints
    private let runner: OutboxRunner
    private let logger: Logger

    init(_ services: Services) {
        bell = services.money.taskBell
        crashPoints = services.crashPoints
        logger = services.logger
        let warnings = services.metrics.makeCounter(label: "tollgate_budget_warnings_total", dimensions: [])
        runner = services.money.outboxRunner(
            webhook: services.configuration.webhook, crashPoints: services.crashPoints
        ) { [logger] notice in
            if case .budgetWarning = notice { warnings.increment(by: 1) }
            notice.log(to: logger)
        }
    }

    /// Runs for as long as the process.
    func start() throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "after-commit", isDetached: true) {
            while true {
                bell.wait()
                crashPoints.pass(.tasksWritten)
                do throws(PostgresError) { _ = try runner.run() } catch {
                    logger.warning("after-commit tasks left to the job", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}

extension OutboxRunner.Notice {
    fileprivate func log(to logger: Logger) {
        switch self {
        case .budgetWarning(let warning):
            logger.warning(
                "an API key has used nine tenths of its budget",
                metadata: [
                    "tenant": "\(warning.tenant)", "api_key": "\(warning.key)",
                    "period": "\(warning.period)", "budget": "\(warning.limit)", "used": "\(warning.used)",
                ])
        case .failed(let task, let attempts, let error):
            logger.warning("after-commit task failed", metadata: task.metadata(attempts, error))
        case .dead(let task, let attempts, let error):
            logger.error("after-commit task given up", metadata: task.metadata(attempts, error))
        }
    }
}

extension AfterCommitTask {
    fileprivate func metadata(_ attempts: Int, _ error: String) -> Logger.Metadata {
        [
            "kind": "\(kind.rawValue)", "task": "\(key)", "attempts": .stringConvertible(attempts),
            "error": "\(error)",
        ]
    }
}
