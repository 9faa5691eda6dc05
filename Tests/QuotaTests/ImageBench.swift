import Core
import Glibc
import PrivateServers
import Redis
import Synchronization
import TestSupport
import Testing
import Threads

@testable import Quota

/// One tenant's image in a real Redis, which the tests of all scripts share.
struct ImageBench: Sendable {
    /// The life of Redis that the store talks to.
    static let incarnation: Int64 = 7
    /// The day in which everything happens unless a test says otherwise.
    static let today: Int32 = 20_250_614

    let redis: RedisClient
    let store: QuotaStore
    let tenant: TenantID
    let keys: QuotaKeys

    private static let server = Result { try SharedServers.Redis() }
    private static let tenants = Atomic<Int>(0)

    /// A tenant of its own, with an image unless it is to have none.
    init(
        balance: Int64 = 1_000, creditLimit: Int64 = 0, dailyQuota: Int64? = nil, monthlyQuota: Int64? = nil,
        rates: Rates = Rates(), budgets: [BudgetContents] = [], isInstalled: Bool = true
    ) throws {
        try self.init(server: Self.server.get())
        guard isInstalled else { return }
        let reply = try install(
            epoch: 1, balance: balance, creditLimit: creditLimit, dailyQuota: dailyQuota,
            monthlyQuota: monthlyQuota, rates: rates, budgets: budgets)
        try #require(reply == .installed)
    }

    /// Limits of a minute, and of holds at once.
    struct Rates: Sendable {
        var requests: Int64?
        var tokens: Int64?
        var concurrency: Int64?
    }

    /// A tenant without an image in a server of the test's own.
    init(server: SharedServers.Redis, commandTimeoutMilliseconds: Int = 20_000) throws {
        var configuration = RedisConfiguration(address: .unixSocket(server.socketPath))
        configuration.connectTimeoutMilliseconds = 20_000
        configuration.commandTimeoutMilliseconds = commandTimeoutMilliseconds
        redis = RedisClient(configuration)
        store = QuotaStore(redis: redis) { _ in ImageBench.incarnation }
        let number = Self.tenants.add(1, ordering: .relaxed).newValue
        tenant = try #require(TenantID("tenant-\(number)"))
        keys = QuotaKeys(tenant)
    }

    /// Takes the lease and installs an image.
    func install(
        epoch: Int64, balance: Int64 = 1_000, creditLimit: Int64 = 0, dailyQuota: Int64? = nil,
        monthlyQuota: Int64? = nil, dailyUsed: Int64 = 0, monthlyUsed: Int64 = 0, creditSequence: Int64 = 0,
        limitsVersion: Int64 = 1, rates: Rates = Rates(), budgets: [BudgetContents] = [],
        holds: [(trace: String, hold: String)] = [], leaseToken: String? = nil
    ) throws -> InstallReply {
        if leaseToken == nil { _ = try redis.command(["SET", keys.warm, "token", "PX", "60000"]) }
        return try store.install(
            ImageContents(
                epoch: epoch, balance: Money(nanodollars: balance),
                limits: TenantLimits(
                    version: limitsVersion, creditLimit: Money(nanodollars: creditLimit),
                    dailyQuota: dailyQuota, monthlyQuota: monthlyQuota, requestsPerMinute: rates.requests,
                    tokensPerMinute: rates.tokens, concurrency: rates.concurrency),
                creditSequence: creditSequence, period: Period(day: Self.today), dailyUsed: dailyUsed,
                monthlyUsed: monthlyUsed, budgets: budgets, holds: holds),
            tenant: tenant, token: leaseToken ?? "token", incarnation: Self.incarnation)
    }

    /// Asks for a hold.
    func deduct(
        _ amount: Int64, least: Int64? = nil, trace: TraceID = .fresh(), day: Int32 = today,
        key: String = "key1", tokens: Int64 = 0, hasBudget: Bool = false, limitsVersion: Int64 = 1
    ) throws -> DeductReply {
        try store.deduct(
            order(
                amount, least: least, trace: trace, day: day, key: key, tokens: tokens, hasBudget: hasBudget,
                limitsVersion: limitsVersion))
    }

    /// An order of a hold.
    func order(
        _ amount: Int64, least: Int64? = nil, trace: TraceID = .fresh(), day: Int32 = today,
        key: String = "key1", tokens: Int64 = 0, hasBudget: Bool = false, limitsVersion: Int64 = 1
    ) -> HoldOrder {
        HoldOrder(
            tenant: tenant, trace: trace, key: APIKeyID(key), amount: Money(nanodollars: amount),
            least: least.map { Money(nanodollars: $0) }, period: Period(day: day), tokens: tokens,
            hasBudget: hasBudget, limitsVersion: limitsVersion)
    }

    /// Asks for a hold that must be granted.
    func hold(
        _ amount: Int64, trace: TraceID = .fresh(), day: Int32 = today, key: String = "key1",
        tokens: Int64 = 0, hasBudget: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> HeldAmount {
        let reply = try deduct(
            amount, trace: trace, day: day, key: key, tokens: tokens, hasBudget: hasBudget)
        guard case .held(let held) = reply else {
            Issue.record("not held: \(reply)", sourceLocation: sourceLocation)
            throw BenchError()
        }
        return held
    }

    /// Asks for a hold that must be refused.
    func refusal(
        _ amount: Int64, day: Int32 = today, key: String = "key1", tokens: Int64 = 0,
        hasBudget: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> QuotaRefusal {
        let reply = try deduct(amount, day: day, key: key, tokens: tokens, hasBudget: hasBudget)
        guard case .refused(let refusal) = reply else {
            Issue.record("not refused: \(reply)", sourceLocation: sourceLocation)
            throw BenchError()
        }
        return refusal
    }

    /// Settles a hold that this bench was granted.
    func settle(
        _ held: HeldAmount, _ trace: TraceID, charge: Int64, isVoided: Bool = false, tokens: Int64 = 0
    ) throws -> SettleReply {
        try store.settle(settlement(held, trace, charge: charge, isVoided: isVoided, tokens: tokens))
    }

    /// The settlement of a hold that this bench was granted.
    func settlement(
        _ held: HeldAmount, _ trace: TraceID, charge: Int64, isVoided: Bool = false, tokens: Int64 = 0
    ) -> HoldSettlement {
        HoldSettlement(
            tenant: tenant, trace: trace, epoch: held.epoch, rseq: held.rseq,
            charge: Money(nanodollars: charge), isVoided: isVoided, tokens: tokens)
    }

    /// A budget of nano-dollars as it is installed.
    static func budget(
        _ key: String = "key1", _ limit: Int64?, _ period: BudgetPeriod = .total, used: Int64 = 0
    ) throws -> BudgetContents {
        BudgetContents(
            key: try #require(APIKeyID(key)),
            budget: KeyBudget(limit: limit.map { Money(nanodollars: $0) }, period: period),
            used: Money(nanodollars: used))
    }

    /// What is used of an API key's budget, in nano-dollars.
    func budgetUsed(_ key: String = "key1") throws -> Int64 {
        let key = try #require(APIKeyID(key))
        return try #require(try store.budget(of: key, tenant: tenant)).used.nanodollars
    }

    /// Makes Redis' clock be in the first part of a minute, so that a short test stays in it.
    func awaitEarlyMinute() throws {
        while true {
            let seconds = (try redis.command(["TIME"]).elements?[0].integer ?? 0) % 60
            if seconds < 50 { return }
            usleep(200_000)
        }
    }

    /// Makes the minute one of the past: what it counted is over.
    func endMinute() throws {
        _ = try redis.command(["HINCRBY", keys.tenant, "minute", "-1"])
    }

    /// The image as the store reads it.
    func image(sourceLocation: SourceLocation = #_sourceLocation) throws -> TenantImage {
        try #require(try store.image(of: tenant), sourceLocation: sourceLocation)
    }

    /// The balance in nano-dollars.
    func balance() throws -> Int64 { try image().balance.nanodollars }

    /// Every field of the tenant's hashes, byte for byte.
    func everything() throws -> [RedisReply] {
        try redis.pipeline(
            [["HGETALL", keys.tenant], ["HGETALL", keys.holds]]
                + (0..<3).map { ["HGETALL", "gw:quota:apikey:{\(tenant)}:key\($0)"] })
    }

    /// Runs a script with arguments of the test's own.
    func evaluate(_ script: RedisScript, _ keys: [String], _ arguments: [String]) throws -> [String] {
        let reply = try redis.evaluate(script, keys: keys, arguments: arguments)
        return (reply.text ?? "").split(separator: "|", omittingEmptySubsequences: false).map { String($0) }
    }
}

/// The bench could not do what the test builds on; the issue is recorded where it happened.
struct BenchError: Error {}

extension QuotaStore {
    /// Takes several holds in one round trip.
    func deduct(_ orders: [HoldOrder]) -> [Result<DeductReply, QuotaError>] {
        exchange(settling: [], taking: orders) {}.deducted
    }

    /// Settles several holds in one round trip.
    func settle(_ settlements: [HoldSettlement]) -> [Result<SettleReply, QuotaError>] {
        exchange(settling: settlements, taking: []) {}.settled
    }
}

extension Money {
    /// An amount of nano-dollars, for tests that are full of them.
    static func nano(_ nanodollars: Int64) -> Money { Money(nanodollars: nanodollars) }
}
