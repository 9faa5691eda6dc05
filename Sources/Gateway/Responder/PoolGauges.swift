import FastCGI
import Ledger
import Redis
import Settlement
import Threads

/// The figures of a responder pool for `/metrics`, reachable before the pool exists.
final class PoolGauges: Sendable {
    private let pool = Locked<ResponderPool?>(nil)

    func attach(_ pool: ResponderPool) {
        self.pool.withLock { $0 = pool }
    }

    func values(of services: Services) -> [(String, Int64)] {
        guard let statistics = pool.withLock({ $0 })?.statistics else { return [] }
        let (redis, ledger) = (services.money.redis.batches, services.money.writer.batches)
        return [
            ("tollgate_workers", Int64(statistics.workers)),
            ("tollgate_workers_busy", Int64(statistics.workersBusy)),
            ("tollgate_connections", Int64(statistics.connections)),
            ("tollgate_connections_idle", Int64(statistics.connectionsIdle)),
            ("tollgate_queued", Int64(statistics.queued)),
            ("tollgate_requests_accepted", Int64(statistics.accepted)),
            ("tollgate_requests_shed", Int64(statistics.shed)),
            ("tollgate_settlements_waiting", Int64(services.money.retries.count)),
            ("tollgate_redis_writes", redis.batches), ("tollgate_redis_calls", redis.items),
            ("tollgate_redis_calls_max", redis.itemsLargest),
            ("tollgate_ledger_commits", ledger.batches), ("tollgate_ledger_rows", ledger.items),
            ("tollgate_ledger_rows_max", ledger.itemsLargest),
        ]
    }
}
