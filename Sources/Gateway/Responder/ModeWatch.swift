import Ledger
import Logging
import Settlement
import Threads

/// Follows the mode of the installation for as long as the process runs, and says so whenever it changes.
enum ModeWatch {
    static func start(_ services: Services) throws(WorkerThread.CreationError) {
        let configuration = services.configuration
        let logger = services.logger
        let rule = ModeMachine.Rule(
            mayEnter: configuration.mayReserveInDatabase,
            afterMilliseconds: Int64(configuration.degradedAfterSeconds) * 1_000,
            // A command is waited for so long after so long a wait to be sent.
            lateMilliseconds: Int64(configuration.store.redisTimeoutMilliseconds) * 2)
        try services.money.mode.start(rule, quota: services.money.quota) { side, mode in
            tell(side, mode, logger)
        }
    }

    private static func tell(_ side: ReserveSide, _ mode: InstallationMode?, _ logger: Logger) {
        switch side {
        case .image: logger.notice("reserving in Redis")
        case .ledger:
            logger.error(
                "reserving in PostgreSQL: Redis is lost",
                metadata: ["begun_by": "\(mode?.owner ?? "")", "change": "\(mode?.change ?? 0)"])
        case .nowhere: logger.error("Redis is lost and is being given up: nothing is reserved")
        }
    }
}
