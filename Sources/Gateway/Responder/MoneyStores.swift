import Core
package import Ledger
package import Postgres
package import Quota
package import Redis
package import Settlement
import Tenancy
import Threads
import Webhooks

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
    /// The mode of the installation, as this process sees it.
    package let mode: DatabaseMode
    /// The protocol.
    package let settlement: SettlementEngine
    /// What is to be done after commits.
    package let outbox: OutboxStore
    /// Rung when tasks have been committed.
    package let taskBell: TaskBell
    private let credits: CreditWriter
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
        let taskBell = TaskBell()
        self.taskBell = taskBell
        writer = LedgerWriter(database: PostgresPool(writing), owner: owner) { taskBell.ring() }
        outbox = OutboxStore(database: database)
        let incarnations = Incarnations(ledger: ledger)
        self.incarnations = incarnations
        quota = QuotaStore(redis: redis, refusedMayWait: settleWait.milliseconds > 0) {
            incarnations.number(of: $0)
        }
        let builder = ImageBuilder(quota: quota, ledger: ledger, incarnations: incarnations, owner: owner)
        credits = CreditWriter(quota: quota, ledger: ledger, builder: builder)
        var reserving = configuration.databaseConfiguration(
            name: "\(programName)-reserver", connectionsMax: 4)
        reserving.sessionSettings = LedgerReserver.sessionSettings
        mode = DatabaseMode(
            ledger: ledger,
            reserver: LedgerReserver(database: PostgresPool(reserving), owner: owner),
            incarnations: incarnations, owner: owner)
        retries = SettlementRetries(
            quota: quota, ledger: ledger, writer: writer, builder: builder, mode: mode)
        settlement = SettlementEngine(
            quota: quota, ledger: ledger, writer: writer, builder: builder, retries: retries, mode: mode,
            settleWait: settleWait, crashPoints: crashPoints, times: times)
    }

    /// Does after-commit tasks.
    ///
    /// - Parameters:
    ///   - webhook: Where events go; nil for nowhere.
    ///   - notice: Tells somebody.
    package func outboxRunner(
        webhook: WebhookConfiguration?, crashPoints: CrashPoints = CrashPoints(),
        notice: @escaping @Sendable (OutboxRunner.Notice) -> Void
    ) -> OutboxRunner {
        let timeZones = TimeZones()
        return OutboxRunner(
            outbox: outbox, credits: credits,
            webhook: webhook.map { WebhookSender(url: $0.url, secret: $0.secret) },
            period: { timeZones.period(in: $0, unixSeconds: WallClock.unixMilliseconds / 1_000) },
            crashPoints: crashPoints, notice: notice)
    }

    /// Learns which life of Redis answers, so that scripts accept this process's commands; false while reservations are made in
    /// PostgreSQL, and nothing in Redis is of any use.
    ///
    /// The responder learns it by its first rebuild.
    @discardableResult
    package func registerRedis() throws(SettlementError) -> Bool {
        do throws(PostgresError) {
            if try ledger.mode().isDatabase { return false }
        } catch {
            throw .unavailable("PostgreSQL: \(error)")
        }
        let identity: RedisIdentity
        do throws(QuotaError) { identity = try quota.identity() } catch {
            throw .unavailable("Redis: \(error)")
        }
        do throws(PostgresError) { return try incarnations.register(identity) != nil } catch {
            throw .unavailable("PostgreSQL: \(error)")
        }
    }
}
