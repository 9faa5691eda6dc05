package import Core
package import Jobs
package import Ledger
package import Postgres
package import PrivateServers
package import Quota
package import Redis
package import Settlement
import Tenancy
import TestTools
package import Testing
import Threads
package import Webhooks

/// The money protocol as one process has it, over a ledger and a Redis of a test's own.
///
/// Unlike ``TestStores`` it is patient (a loaded machine is no fault), shows its parts, and can have siblings: further processes on
/// the same stores.
package struct SettlementBench: Sendable {
    /// How the process differs from a patient one.
    package struct Options: Sendable {
        /// Its name in the ledger.
        package var owner = "bench"
        /// How long a request waits for a rebuild.
        package var waitMilliseconds = 30_000
        /// How long a rebuild may take before another may start.
        package var leaseMilliseconds = 30_000
        /// How long a Redis command may take.
        package var redisTimeoutMilliseconds = 20_000
        /// Where it looks for Redis, when not where it is: then it never reaches it.
        package var redisPath: String?
        /// How its thread follows and changes the mode of the installation; nil without one.
        package var modeRule: ModeMachine.Rule?
        /// Who may wait for holds to end.
        package var settleWait = SettleWait.none
        /// Whether the thread that tries settlements again runs.
        package var retries = true

        /// The options of a patient process.
        package init() {}
    }

    /// The Redis.
    package let server: SharedServers.Redis
    /// PostgreSQL with the application's rights.
    package let database: PostgresPool
    /// PostgreSQL with all rights.
    package let owner: PostgresPool
    /// Redis as this process talks to it.
    package let redis: RedisClient
    /// The images.
    package let quota: QuotaStore
    /// The ledger.
    package let ledger: LedgerStore
    /// The writer.
    package let writer: LedgerWriter
    /// Settlements that are tried again.
    package let retries: SettlementRetries
    /// The protocol.
    package let engine: SettlementEngine
    /// The mode of the installation as this process sees it.
    package let mode: DatabaseMode
    /// What is to be done after commits.
    package let outbox: OutboxStore
    private let credits: CreditWriter

    private let keepsAlive: SharedServers.Database?
    private let strings: (application: String, owner: String)

    /// The name under which the writer's connections show in `pg_stat_activity`.
    package static let writerName = "bench-writer"
    /// The name under which connections show that reserve in the ledger.
    package static let reserverName = "bench-reserver"
    /// The period in which everything happens.
    package static let period = Period(day: 20_250_614)

    /// Starts a Redis and makes a database in the shared PostgreSQL.
    package init(_ options: Options = Options()) throws {
        let database = try TestDatabase.make()
        try self.init(
            options, server: try SharedServers.Redis(), database: database,
            strings: (try TestDatabase.applicationString(database), database.connectionString))
    }

    /// Starts a Redis and makes a database in a PostgreSQL that the test may stop.
    package init(_ options: Options = Options(), postgres: PrivatePostgres) throws {
        try self.init(
            options, server: try SharedServers.Redis(), database: nil,
            strings: try TestDatabase.makeLedger(in: postgres))
    }

    private init(
        _ options: Options, server: SharedServers.Redis, database kept: SharedServers.Database?,
        strings: (application: String, owner: String)
    ) throws {
        self.server = server
        self.strings = strings
        keepsAlive = kept
        database = PostgresPool(.patient(strings.application, "bench"))
        owner = PostgresPool(.patient(strings.owner, "bench-owner"))
        var configuration = RedisConfiguration(address: .unixSocket(options.redisPath ?? server.socketPath))
        configuration.connectTimeoutMilliseconds = options.redisTimeoutMilliseconds
        configuration.commandTimeoutMilliseconds = options.redisTimeoutMilliseconds
        redis = RedisClient(configuration)
        let ledger = LedgerStore(database: database)
        self.ledger = ledger
        var writing = PostgresConfiguration.patient(strings.application, Self.writerName)
        writing.sessionSettings = LedgerWriter.sessionSettings
        writer = LedgerWriter(database: PostgresPool(writing), owner: options.owner)
        let incarnations = Incarnations(ledger: ledger)
        quota = QuotaStore(redis: redis, refusedMayWait: options.settleWait.milliseconds > 0) {
            incarnations.number(of: $0)
        }
        let builder = ImageBuilder(
            quota: quota, ledger: ledger, incarnations: incarnations, owner: options.owner,
            leaseMilliseconds: options.leaseMilliseconds, waitMilliseconds: options.waitMilliseconds)
        outbox = OutboxStore(database: database)
        credits = CreditWriter(quota: quota, ledger: ledger, builder: builder)
        var reserving = PostgresConfiguration.patient(strings.application, Self.reserverName)
        reserving.sessionSettings = LedgerReserver.sessionSettings
        mode = DatabaseMode(
            ledger: ledger,
            reserver: LedgerReserver(database: PostgresPool(reserving), owner: options.owner),
            incarnations: incarnations, owner: options.owner)
        retries = SettlementRetries(
            quota: quota, ledger: ledger, writer: writer, builder: builder, mode: mode)
        engine = SettlementEngine(
            quota: quota, ledger: ledger, writer: writer, builder: builder, retries: retries, mode: mode,
            settleWait: options.settleWait)
        if options.redisPath == nil { _ = try incarnations.register(try quota.identity()) }
        if let rule = options.modeRule { try mode.start(rule, quota: quota) { _, _ in } }
        if options.retries { try retries.start() }
    }

    /// Another process on the same stores.
    package func sibling(_ options: Options) throws -> SettlementBench {
        try SettlementBench(options, server: server, database: keepsAlive, strings: strings)
    }

    // MARK: - Tenants

    /// Creates a tenant with a balance in nano-dollars, and its image.
    package func makeTenant(
        _ name: String = "acme", balance: Int64 = 0, creditLimit: Int64 = 0, dailyQuota: Int64? = nil,
        tokensPerMinute: Int64? = nil
    ) throws -> TenantID {
        let tenant = try #require(TenantID(name))
        _ = try TenantRegister(database: database).create(
            tenant, timeZone: "UTC", creditLimit: Money(nanodollars: creditLimit), dailyQuota: dailyQuota,
            monthlyQuota: nil, tokensPerMinute: tokensPerMinute)
        if balance > 0 { try addCredit(balance, to: tenant, "initial") }
        return tenant
    }

    /// Adds a credit in nano-dollars.
    @discardableResult
    package func addCredit(_ amount: Int64, to tenant: TenantID, _ externalID: String) throws -> CreditOutcome
    {
        try engine.addCredit(
            Money(nanodollars: amount), to: tenant, kind: "test", externalID: externalID, period: Self.period)
    }

    /// Creates an API key, with a budget in nano-dollars unless it is to have none.
    package func makeKey(
        _ tenant: TenantID, budget: Int64? = nil, _ period: BudgetPeriod = .total
    ) throws -> APIKeyID {
        let secret = try TenantRegister(database: database).createKey(
            for: tenant, label: "", allowedModels: nil,
            budget: budget.map { KeyBudget(limit: Money(nanodollars: $0), period: period) },
            pepper: .forTests())
        return try #require(secret.flatMap { APIKeyID($0.id) })
    }

    // MARK: - Requests

    /// A request for a hold.
    package func order(
        _ tenant: TenantID, _ amount: Int64, least: Int64? = nil, trace: TraceID = .fresh(),
        key: APIKeyID? = nil, period: Period = period, tokens: Int64 = 0, hasBudget: Bool = false,
        limitsVersion: Int64 = 0
    ) -> ReserveOrder {
        ReserveOrder(
            tenant: tenant, trace: trace, key: key ?? APIKeyID("key1"), amount: Money(nanodollars: amount),
            least: least.map { Money(nanodollars: $0) }, period: period, deadlineMilliseconds: 60_000,
            capability: "chat", model: "m", isStream: false,
            tokens: tokens, hasBudget: hasBudget, limitsVersion: limitsVersion)
    }

    /// A row as the protocol inserts it, of a hold that nobody has taken.
    package func pendingRow(_ tenant: TenantID, _ trace: TraceID) throws -> PendingRow {
        PendingRow(
            tenant: tenant, trace: trace, key: nil, epoch: try epoch(of: tenant), rseq: 1_000_000,
            period: Self.period, hold: Money(nanodollars: 1), limitsVersion: 1, balanceBefore: .zero,
            balanceAfter: .zero, deadlineMilliseconds: 60_000, capability: "chat", model: "m", isStream: false
        )
    }

    /// Takes a hold.
    package func reserve(_ tenant: TenantID, _ amount: Int64, trace: TraceID = .fresh()) throws -> Hold {
        try engine.reserve(order(tenant, amount, trace: trace))
    }

    /// Why a hold is refused; nil when it is granted or cannot be decided.
    package func refusal(_ tenant: TenantID, _ amount: Int64) -> QuotaRefusal? {
        refusal(order(tenant, amount))
    }

    /// Why a request for a hold is refused; nil when it is granted or cannot be decided.
    package func refusal(_ order: ReserveOrder) -> QuotaRefusal? {
        do throws(SettlementError) {
            _ = try engine.reserve(order)
            return nil
        } catch {
            guard case .refused(let refusal) = error else { return nil }
            return refusal
        }
    }

    /// How so many reservations at once end: `admitted`, `unavailable`, or the error.
    package func outcomes(of count: Int, _ tenant: TenantID, _ amount: Int64) throws -> [String] {
        try Concurrently.run(count) { _ in
            do throws(SettlementError) {
                _ = try engine.reserve(order(tenant, amount))
                return "admitted"
            } catch .unavailable {
                return "unavailable"
            } catch {
                return "\(error)"
            }
        }
    }

    /// The end of a request with a charge.
    package func committed(_ hold: Hold, _ charge: Int64) -> RowSettlement {
        var settlement = RowSettlement(tenant: hold.tenant, trace: hold.trace, status: .committed)
        settlement.charge = Money(nanodollars: charge)
        settlement.usageSource = .provider
        return settlement
    }

    /// The end of a request without one.
    package func voided(_ hold: Hold) -> RowSettlement {
        RowSettlement(tenant: hold.tenant, trace: hold.trace, status: .voided)
    }

    /// Charges a hold as a stream is charged: what was delivered stays charged.
    @discardableResult
    package func settle(_ hold: Hold, charge: Int64) throws -> Settled {
        let settlement = committed(hold, charge)
        return try engine.settle(hold, settlement, otherwise: settlement)
    }

    /// Gives a hold back.
    package func void(_ hold: Hold) {
        engine.void(hold, voided(hold))
    }

    /// Sweeps once, as the job does.
    @discardableResult
    package func sweep(
        graceSeconds: Int = 0, pageMax: Int = 10_000, only tenant: TenantID? = nil, isDryRun: Bool = false
    ) throws -> Sweeper.Summary {
        try Sweeper(
            ledger: ledger, writer: writer, quota: quota, holdGraceSeconds: graceSeconds, pageMax: pageMax
        ).run(only: tenant, isDryRun: isDryRun)
    }

    /// Does the after-commit tasks that are due, once, as the job does.
    @discardableResult
    package func runOutbox(
        _ webhook: WebhookSender? = nil, of tenant: TenantID? = nil,
        notice: @escaping @Sendable (OutboxRunner.Notice) -> Void = { _ in }
    ) throws -> OutboxRunner.Summary {
        try OutboxRunner(
            outbox: outbox, credits: credits, webhook: webhook, period: { _ in Self.period }, notice: notice
        ).run(of: tenant)
    }

    /// What the checks of the books read with.
    package func audit() -> LedgerAudit {
        var lookups = PostgresConfiguration.patient(strings.application, "bench-audit")
        lookups.sessionSettings = LedgerAudit.sessionSettings
        return LedgerAudit(lookups: PostgresPool(lookups), scans: database)
    }

    /// The live check of the books.
    package func reconciler() -> Reconciler {
        Reconciler(quota: quota, ledger: ledger, audit: audit(), attemptsMax: 100)
    }

    // MARK: - Books

    /// Both sides of a tenant's books.
    package func books(_ tenant: TenantID) throws -> TestBooks {
        TestBooks(ledger: try LedgerReader.totals(database, of: tenant), image: try quota.image(of: tenant))
    }

    /// Checks invariant I1 for a tenant that is at rest: R = C − K − P and HR = P, to the nano-dollar.
    @discardableResult
    package func expectExactBooks(
        _ tenant: TenantID, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> TestBooks {
        let books = try books(tenant)
        let image = try #require(books.image, "no image of \(tenant)", sourceLocation: sourceLocation)
        #expect(image.balance == books.ledger.balance, "R = C − K − P", sourceLocation: sourceLocation)
        #expect(image.held == books.ledger.held, "HR = P", sourceLocation: sourceLocation)
        return books
    }

    /// What stands in the ledger under a trace.
    package func row(_ hold: Hold) throws -> StandingRow? {
        try LedgerReader.rows(database, [(hold.tenant, hold.trace)])[hold.trace]
    }

    /// The tenant's epoch in the ledger.
    package func epoch(of tenant: TenantID) throws -> Int64 {
        try #require(try LedgerReader.standing(database, of: tenant)).epoch
    }

    /// Runs SQL with all rights.
    @discardableResult
    package func execute(_ sql: String) throws -> Rows {
        try owner.lease().execute(sql: sql)
    }
}
