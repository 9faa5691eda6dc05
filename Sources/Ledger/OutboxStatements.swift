import Postgres

extension LedgerStatements {
    static let insertSettledTasks = Statement(
        name: "insert_settled_tasks", sql: PackageResources.insert_settled_tasks_sql)
    static let insertTasks = Statement(name: "insert_tasks", sql: PackageResources.insert_tasks_sql)
    static let claimTasks = Statement(name: "claim_tasks", sql: PackageResources.claim_tasks_sql)
    static let removeTasks = Statement(name: "remove_tasks", sql: PackageResources.remove_tasks_sql)
    static let removeTask = Statement(name: "remove_task", sql: PackageResources.remove_task_sql)
    static let keepTasks = Statement(name: "keep_tasks", sql: PackageResources.keep_tasks_sql)
    static let putBackTasks = Statement(name: "put_back_tasks", sql: PackageResources.put_back_tasks_sql)
    static let reviveTasks = Statement(name: "revive_tasks", sql: PackageResources.revive_tasks_sql)
    static let readOutbox = Statement(name: "read_outbox", sql: PackageResources.read_outbox_sql)
    static let removeOldTasks = Statement(
        name: "remove_old_tasks", sql: PackageResources.remove_old_tasks_sql)
}
