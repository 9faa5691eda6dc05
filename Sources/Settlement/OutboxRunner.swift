package import Core
import JSON
package import Ledger
package import Postgres
package import Threads
package import Webhooks

/// Does after-commit tasks: those of a kind as one batch, money first.
///
/// A task is claimed for some time, done, and then removed; whoever dies in between leaves it to be done again. What cannot be done is
/// put back with a growing pause, and in the end given up.
package struct OutboxRunner: Sendable {
    /// What somebody should hear of.
    package enum Notice: Sendable {
        /// An API key has used most of its budget.
        case budgetWarning(BudgetWarning)
        /// A task could not be done.
        case failed(AfterCommitTask, attempts: Int, error: String)
        /// The same, and it is not tried again.
        case dead(AfterCommitTask, attempts: Int, error: String)
    }

    /// What a run did.
    package struct Summary: Sendable, Equatable {
        /// Tasks done.
        package var done = 0
        /// Tasks that are to be tried again.
        package var failed = 0
        /// Tasks given up.
        package var dead = 0
        /// Tasks put back untried, because others before them took too long or had no answer.
        package var untried = 0
        /// In how many batches.
        package var batches = 0

        /// Creates the summary of a run that found nothing.
        package init() {}
    }

    /// The most tasks in one batch.
    private static let batchMax = 64
    /// For how long they are claimed; longer than a batch takes.
    private static let claimSeconds = 120
    /// After how long no further task of a kind is begun.
    private static let kindSeconds = 30
    private static let untriedPauseSeconds = 10

    private let outbox: OutboxStore
    private let credits: CreditWriter
    private let webhook: WebhookSender?
    private let period: @Sendable (String) -> Period
    private let crashPoints: CrashPoints
    private let notice: @Sendable (Notice) -> Void

    /// Creates a runner.
    ///
    /// - Parameters:
    ///   - webhook: Where events go; without one none are made, and those that are there wait.
    ///   - period: The day and month in a time zone now.
    ///   - notice: Tells somebody.
    package init(
        outbox: OutboxStore, credits: CreditWriter, webhook: WebhookSender?,
        period: @escaping @Sendable (String) -> Period, crashPoints: CrashPoints = CrashPoints(),
        notice: @escaping @Sendable (Notice) -> Void = { _ in }
    ) {
        self.outbox = outbox
        self.credits = credits
        self.webhook = webhook
        self.period = period
        self.crashPoints = crashPoints
        self.notice = notice
    }

    /// Does what is due.
    ///
    /// - Parameters:
    ///   - tenant: Whose tasks; nil for all.
    ///   - deadline: After it no further batch is begun.
    package func run(
        of tenant: TenantID? = nil, until deadline: Deadline = .after(seconds: 300)
    ) throws(PostgresError) -> Summary {
        var summary = Summary()
        while !deadline.isPast {
            let claimed = try outbox.claim(
                countMax: Self.batchMax, forSeconds: Self.claimSeconds, of: tenant)
            guard !claimed.isEmpty else { break }
            var batch = OutboxBatch()
            for kind in TaskKind.allCases {
                let tasks = claimed.filter { $0.task.kind == kind }
                if !tasks.isEmpty { run(tasks, of: kind, &batch) }
            }
            crashPoints.pass(.tasksDone)
            try outbox.end(done: batch.done, following: batch.following, putBack: batch.putBack)
            batch.add(to: &summary)
            // Whoever did not answer now will not in a moment.
            if batch.hasUntried { break }
        }
        return summary
    }

    private func run(_ tasks: [OutboxTask], of kind: TaskKind, _ batch: inout OutboxBatch) {
        let deadline = Deadline.after(seconds: Self.kindSeconds)
        var isSilent = false
        for task in tasks {
            guard !deadline.isPast, !isSilent else {
                batch.putBack.append(
                    PutBackTask(task, delaySeconds: Self.untriedPauseSeconds, error: nil))
                continue
            }
            switch kind {
            case .credit: apply(task, &batch)
            case .budgetWarning: warn(task, &batch)
            case .webhook: isSilent = send(task, &batch)
            }
        }
    }

    private func apply(_ task: OutboxTask, _ batch: inout OutboxBatch) {
        guard let tenant = task.task.tenant, let sequence = Int64(task.task.payload) else {
            return fail(task, "it names no credit", &batch)
        }
        do throws(SettlementError) {
            try credits.apply(sequence, to: tenant, period: period(task.timeZone ?? "UTC"))
            batch.done.append(task)
        } catch {
            fail(task, "\(error)", &batch)
        }
    }

    private func warn(_ task: OutboxTask, _ batch: inout OutboxBatch) {
        guard let warning = BudgetWarning(task.task) else {
            return fail(task, "it is not the warning it should be", &batch)
        }
        notice(.budgetWarning(warning))
        if webhook != nil {
            let event = warning.event(unixSeconds: task.createdAt)
            batch.following.append(AfterCommitTask(event, tenant: warning.tenant))
        }
        batch.done.append(task)
    }

    /// Sends an event; whether nobody answered.
    private func send(_ task: OutboxTask, _ batch: inout OutboxBatch) -> Bool {
        guard let webhook else {
            fail(task, "no TOLLGATE_WEBHOOK_URL is set", &batch)
            return false
        }
        switch webhook.send(id: task.task.key, body: task.task.payload) {
        case .accepted:
            batch.done.append(task)
            return false
        case .refused(let reason):
            fail(task, reason, &batch)
            return false
        case .silent(let reason):
            fail(task, reason, &batch)
            return true
        }
    }

    private func fail(_ task: OutboxTask, _ error: String, _ batch: inout OutboxBatch) {
        let error = String(error.prefix(500))
        let pause = TaskRetry.pauseSeconds(after: task.attempts, of: task.task.kind)
        batch.putBack.append(PutBackTask(task, delaySeconds: pause, error: error))
        guard pause == nil else {
            notice(.failed(task.task, attempts: task.attempts, error: error))
            return
        }
        notice(.dead(task.task, attempts: task.attempts, error: error))
        let event = WebhookEvent(
            .outboxDead, about: "\(task.id)", unixSeconds: task.createdAt,
            data: [
                ("kind", .string(task.task.kind.rawValue)), ("key", .string(task.task.key)),
                ("tenant", task.task.tenant.map { .string($0.description) } ?? .null),
                ("attempts", JSONValue(Int64(task.attempts))), ("error", .string(error)),
            ])
        // That such an event was given up is no news to somebody who does not take it.
        let isOwnEvent = task.task.kind == .webhook && task.task.key.hasPrefix("outbox-dead:")
        if webhook != nil, !isOwnEvent {
            batch.following.append(AfterCommitTask(event, tenant: task.task.tenant))
        }
    }
}

/// What becomes of the tasks of one batch.
private struct OutboxBatch {
    var done: [OutboxTask] = []
    var following: [AfterCommitTask] = []
    var putBack: [PutBackTask] = []

    var hasUntried: Bool { putBack.contains { $0.error == nil } }

    func add(to summary: inout OutboxRunner.Summary) {
        summary.batches += 1
        summary.done += done.count
        for task in putBack {
            if task.error == nil {
                summary.untried += 1
            } else if task.delaySeconds == nil {
                summary.dead += 1
            } else {
                summary.failed += 1
            }
        }
    }
}

extension AfterCommitTask {
    /// The task of sending an event.
    package init(_ event: WebhookEvent, tenant: TenantID?) {
        self.init(kind: .webhook, key: event.id, tenant: tenant, payload: event.body)
    }
}
