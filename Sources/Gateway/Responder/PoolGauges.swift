import FastCGI
import Ledger
import Observability
import Redis
import Settlement
import Threads

/// The figures of a responder pool for `/metrics`, reachable before the pool exists.
///
/// Names that end in `_total` are counters. All processes together have the sum of the others, or the largest for names in `_max`.
final class PoolGauges: Sendable {
    private let pool = Locked<ResponderPool?>(nil)

    func attach(_ pool: ResponderPool) {
        self.pool.withLock { $0 = pool }
    }

    /// All metrics of this process, with the pool's present figures.
    func text(of services: Services) -> String {
        for (label, value) in values(of: services) { services.metrics.note(value, as: label) }
        return services.metrics.text()
    }

    private func values(of services: Services) -> [(String, Int64)] {
        guard let statistics = pool.withLock({ $0 })?.statistics else { return [] }
        let (redis, ledger) = (services.money.redis.batches, services.money.writer.batches)
        return [
            ("tollgate_processes", 1),
            ("tollgate_workers", Int64(statistics.workers)),
            ("tollgate_workers_busy", Int64(statistics.workersBusy)),
            ("tollgate_connections", Int64(statistics.connections)),
            ("tollgate_connections_idle", Int64(statistics.connectionsIdle)),
            ("tollgate_queued", Int64(statistics.queued)),
            ("tollgate_connections_accepted_total", Int64(statistics.accepted)),
            ("tollgate_requests_served_total", Int64(statistics.served)),
            ("tollgate_requests_shed_total", Int64(statistics.shed)),
            ("tollgate_quota_mode", services.money.mode.side == .ledger ? 1 : 0),
            ("tollgate_settlements_waiting", Int64(services.money.retries.count)),
            ("tollgate_redis_writes_total", redis.batches), ("tollgate_redis_calls_total", redis.items),
            ("tollgate_redis_calls_max", redis.itemsLargest),
            ("tollgate_ledger_commits_total", ledger.batches), ("tollgate_ledger_rows_total", ledger.items),
            ("tollgate_ledger_rows_max", ledger.itemsLargest),
        ]
    }
}
