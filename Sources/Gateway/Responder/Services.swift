package import Catalog
import CoreMetrics
import FastCGI
package import HTTPClient
package import Ledger
package import Logging
package import Observability
import Postgres
package import Settlement
package import Tenancy
import Threads

/// All parts of a responder, built once at start and shared by its workers.
package struct Services: Sendable {
    /// What was set.
    package let configuration: Configuration
    /// Who this process is to the ledger.
    package let owner: OwnerIdentity
    /// How long this process may believe that its rows are its own.
    package let lease: OwnerLease
    /// Everything that moves money.
    package let money: MoneyStores
    /// API keys and their tenants.
    package let keys: KeyDirectory
    /// Tenants, for admin endpoints.
    package let tenants: TenantRegister
    /// Requests that may be sent again and run once.
    package let claims: IdempotencyClaims
    /// Days and months in the tenants' time zones.
    package let timeZones = TimeZones()
    /// Models and prices.
    package let catalog: CatalogReader
    /// Calls to providers.
    package let httpClient: HTTPTransport
    /// What running streams have delivered.
    package let checkpoints: StreamCheckpoints
    /// Test builds: where to end the process.
    package let crashPoints: CrashPoints
    /// This process's metrics.
    package let metrics: PrometheusRegistry
    /// Log lines.
    package let logger: Logger

    /// The protocol.
    package var settlement: SettlementEngine { money.settlement }

    /// Builds the parts; nothing is connected or started yet.
    package init(_ configuration: Configuration, metrics: PrometheusRegistry, logger: Logger) {
        self.configuration = configuration
        self.metrics = metrics
        self.logger = logger
        owner = LocalProcess.identity()
        lease = OwnerLease(seconds: configuration.ownerLeaseSeconds)
        crashPoints = CrashPoints(specification: configuration.crashAt)
        money = MoneyStores(
            configuration.store, owner: owner.name, programName: "tollgated",
            connectionsMax: configuration.databaseConnectionsMax,
            // A worker that waits serves nobody: a tenth of them at most.
            settleWait: SettleWait(
                milliseconds: configuration.settleWaitMilliseconds,
                waitersMax: max(1, configuration.responder.workersMax / 10)),
            crashPoints: crashPoints, times: TripTimes(metrics))
        claims = IdempotencyClaims(ledger: money.ledger)
        keys = KeyDirectory(
            database: money.database, pepper: configuration.store.pepper,
            keepSeconds: configuration.reloadSeconds)
        tenants = TenantRegister(database: money.database)
        catalog = CatalogReader(database: money.database, pepper: configuration.store.pepper)
        var transport = HTTPTransport.Configuration()
        transport.idleSecondsMax = min(transport.idleSecondsMax, configuration.responder.workerIdleSeconds)
        httpClient = HTTPTransport(configuration: transport)
        checkpoints = StreamCheckpoints(ledger: money.ledger)
    }
}
