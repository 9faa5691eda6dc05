import Core
package import Ledger
package import Postgres
package import Quota
package import Redis
package import Settlement

/// Everything that holds or moves money, connected: what the responder, the CLI and the jobs build on alike.
package struct MoneyStores: Sendable {
    /// PostgreSQL, for reading and small writes.
    package let database: PostgresPool
    /// Redis.
    package let redis: RedisClient
    /// The ledger.
    package let ledger: LedgerStore
    /// The one writer of billing transactions.
    package let writer: LedgerWriter
    /// The images in Redis.
    package let quota: QuotaStore
    /// Settlements that are tried again.
    package let retries: SettlementRetries
    /// The protocol.
    package let settlement: SettlementEngine
    private let incarnations: Incarnations

    /// Connects nothing yet: connections are made when they are first needed.
    ///
    /// - Parameters:
    ///   - owner: The name of this process in the rows it inserts.
    ///   - programName: What PostgreSQL shows as the application.
    package init(
        _ configuration: StoreConfiguration, owner: String, programName: String, connectionsMax: Int,
        settleWait: SettleWait = .none, crashPoints: CrashPoints = CrashPoints(),
        times: TripTimes = .untold
    ) {
        database = PostgresPool(
            configuration.databaseConfiguration(name: programName, connectionsMax: connectionsMax))
        redis = RedisClient(configuration.redisConfiguration)
        ledger = LedgerStore(database: database)
        // What requests begin and end, and what is tried again or swept, beside each other.
        var writing = configuration.databaseConfiguration(name: "\(programName)-writer", connectionsMax: 2)
        writing.sessionSettings = LedgerWriter.sessionSettings
        writer = LedgerWriter(database: PostgresPool(writing), owner: owner)
        let incarnations = Incarnations(ledger: ledger)
        self.incarnations = incarnations
        quota = QuotaStore(redis: redis, refusedMayWait: settleWait.milliseconds > 0) {
            incarnations.number(of: $0)
        }
        let builder = ImageBuilder(quota: quota, ledger: ledger, incarnations: incarnations, owner: owner)
        retries = SettlementRetries(quota: quota, ledger: ledger, writer: writer, builder: builder)
        settlement = SettlementEngine(
            quota: quota, ledger: ledger, writer: writer, builder: builder, retries: retries,
            settleWait: settleWait, crashPoints: crashPoints, times: times)
    }

    /// Learns which life of Redis answers, so that scripts accept this process's commands.
    ///
    /// The responder learns it by its first rebuild.
    package func registerRedis() throws(SettlementError) {
        do throws(QuotaError) {
            let identity = try quota.identity()
            do throws(PostgresError) {
                _ = try incarnations.register(identity)
            } catch {
                throw QuotaError.unreachable("PostgreSQL: \(error)")
            }
        } catch {
            throw .unavailable("\(error)")
        }
    }
}
