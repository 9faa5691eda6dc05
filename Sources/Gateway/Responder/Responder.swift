import Catalog
import CoreMetrics
import FastCGI
import Ledger
package import Logging
package import Observability
import Postgres
import Quota
import Redis
import Schema
import Settlement
import Tenancy
import Threads

/// The responder process: everything started in order, and stopped so that no money is left hanging.
package final class Responder: Sendable {
    /// Why the process cannot serve.
    package struct StartError: Error, CustomStringConvertible {
        package let description: String
    }

    private let services: Services
    private let endpoints: Endpoints
    private let pool: ResponderPool
    private let watchers: Watchers
    private let sharedMetrics: SharedMetrics?

    private struct Watchers: Sendable {
        let listener: PostgresListener
        /// Those who wait for money that other processes settle.
        let settlements: RedisSubscriber?
    }

    /// Connects, checks and starts everything but the serving itself.
    ///
    /// - Parameter listening: The sockets to serve; at least one.
    package init(
        _ configuration: Configuration, listening: [Int32], metrics: PrometheusRegistry, logger: Logger
    ) throws(StartError) {
        Housekeeping.limitHeaps()
        let services = Services(configuration, metrics: metrics, logger: logger)
        self.services = services
        try Responder.prepare(services)
        do {
            let gauges = PoolGauges()
            let shared = try Responder.joinMetrics(services) { gauges.text(of: services) }
            sharedMetrics = shared
            endpoints = try Endpoints(services) { () throws(GatewayError) in
                guard let shared else { return gauges.text(of: services) }
                // Figures of a part of the processes would look like counters that went back: better none.
                do throws(SharedMetricsError) { return try shared.merged() } catch {
                    throw GatewayError(error)
                }
            }
            let endpoints = endpoints
            pool = try ResponderPool(
                listening: listening, limits: configuration.responder, overloaded: { endpoints.refuse($0) },
                handler: { endpoints.serve($0) })
            gauges.attach(pool)
            try services.checkpoints.start()
            try services.money.retries.start()
            try ModeWatch.start(services)
            try AfterCommit(services).start()
            watchers = Watchers(
                listener: try Responder.watchChanges(services),
                settlements: try services.settlement.hearSettlements())
            try Responder.renewLease(services)
            try Housekeeping(pool: pool, httpClient: services.httpClient, quota: services.money.quota).start()
        } catch {
            throw StartError(description: "\(error)")
        }
    }

    /// Serves until ``stop()``, then drains: running requests end, their money is settled, and only then it returns.
    package func run() {
        services.logger.notice("serving", metadata: ["owner": "\(services.owner.name)"])
        pool.run()
        let settled = services.money.retries.drain(until: .after(seconds: 30))
        if settled {
            // The rows of this process are all ended: its lease is given up, so that nobody need wait for it.
            do throws(PostgresError) { try services.money.ledger.endOwner(services.owner) } catch {
                services.logger.warning("lease not given up", metadata: ["error": "\(error)"])
            }
        } else {
            services.logger.error(
                "settlements left to the sweeper",
                metadata: ["count": .stringConvertible(services.money.retries.count)])
        }
        // Nobody is left to be told.
        try? services.money.quota.tellDirty()
        try? sharedMetrics?.publish()
        services.logger.notice("stopped")
    }

    /// Begins draining; ``run()`` returns when it is done.
    ///
    /// From any thread.
    package func stop() {
        services.logger.notice(
            "draining", metadata: ["seconds": .stringConvertible(services.configuration.drainSeconds)])
        pool.drain(seconds: services.configuration.drainSeconds)
    }

    /// Reads the catalogue anew, as a notification does.
    package func reload() {
        Responder.reload(services)
    }

    private static func prepare(_ services: Services) throws(StartError) {
        let database = services.money.database
        do throws(PostgresError) {
            let version = try Migrator.version(of: database)
            guard version == Migrator.currentVersion else {
                throw PostgresError.invalidValue(
                    "the schema is at version \(version) and this build needs \(Migrator.currentVersion); run 'tollgate migrate'"
                )
            }
            guard try services.money.ledger.isDurable() else {
                throw PostgresError.invalidValue(
                    "synchronous_commit is off: a crash would lose charges; set it to on")
            }
            try services.money.ledger.makePartitions()
            try Responder.renewOnce(services)
        } catch {
            throw StartError(description: "PostgreSQL: \(error)")
        }
        services.money.mode.refresh()
        // One that does not answer yet is waited for: /readyz tells.
        let redis = try? Readiness(services).redisSettings()
        if let problem = redis?.problem { throw StartError(description: "Redis: \(problem)") }
        if let warning = redis?.warning { services.logger.warning("Redis: \(warning)") }
        // Without a catalogue every model would be unknown to its clients.
        guard reload(services) else {
            throw StartError(description: "PostgreSQL: the catalogue cannot be read")
        }
    }

    @discardableResult
    private static func reload(_ services: Services) -> Bool {
        do throws(PostgresError) {
            for provider in try services.catalog.reload().sorted() {
                services.logger.error(
                    "the provider's credential cannot be opened with this pepper; its models are left out",
                    metadata: ["provider": "\(provider)"])
            }
        } catch {
            services.logger.error("catalogue not read", metadata: ["error": "\(error)"])
            return false
        }
        return true
    }

    /// Follows announced changes; a reload now and then is the net beneath.
    private static func watchChanges(_ services: Services) throws(WorkerThread.CreationError)
        -> PostgresListener
    {
        let configuration = services.configuration.store.databaseConfiguration(
            name: "tollgated-listener", connectionsMax: 1)
        let listener = try PostgresListener(
            configuration, channels: ["tollgate_catalog", "tollgate_tenancy"],
            callbacks: PostgresListener.Callbacks(
                onConnect: {
                    services.keys.forget()
                    reload(services)
                },
                onNotification: { notification in
                    if notification.channel == "tollgate_tenancy" {
                        services.keys.forget()
                    } else {
                        reload(services)
                    }
                }))
        _ = try WorkerThread(name: "reload", isDetached: true) {
            let pause = Signal()
            while true {
                _ = pause.wait(until: .after(seconds: services.configuration.reloadSeconds))
                reload(services)
            }
        }
        return listener
    }

    /// Joins those that share the runtime directory, and publishes this process's metrics there each second.
    private static func joinMetrics(
        _ services: Services, own: @escaping @Sendable () -> String
    ) throws -> SharedMetrics? {
        guard let directory = services.configuration.runtimeDirectory else { return nil }
        let shared: SharedMetrics
        do throws(SharedMetricsError) {
            shared = try SharedMetrics(directory: directory, own: own)
        } catch {
            throw StartError(description: "TOLLGATE_RUNTIME_DIR: \(error)")
        }
        _ = try WorkerThread(name: "metrics", isDetached: true) {
            let pause = Signal()
            var wasPublished = true
            while true {
                _ = pause.wait(until: .after(seconds: 1))
                do throws(SharedMetricsError) {
                    try shared.publish()
                    wasPublished = true
                } catch {
                    if wasPublished {
                        services.logger.error("metrics not published", metadata: ["error": "\(error)"])
                    }
                    wasPublished = false
                }
            }
        }
        return shared
    }

    /// Renews the lease under which this process owns its pending rows.
    private static func renewLease(_ services: Services) throws(WorkerThread.CreationError) {
        let lease = services.configuration.ownerLeaseSeconds
        _ = try WorkerThread(name: "owner-lease", isDetached: true) {
            let pause = Signal()
            while true {
                _ = pause.wait(until: .after(milliseconds: max(500, lease * 1_000 / 6)))
                do throws(PostgresError) { try renewOnce(services) } catch {
                    services.logger.error("lease not renewed", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private static func renewOnce(_ services: Services) throws(PostgresError) {
        let sentAt = Deadline.now
        try services.money.ledger.renewOwner(
            services.owner, leaseSeconds: services.configuration.ownerLeaseSeconds)
        services.lease.noteRenewal(sentAt: sentAt)
    }
}
