package import Core
import Foundation
package import Gateway
package import Ledger
package import PrivateServers
package import Quota
import Settlement
import Tenancy
package import Testing

/// A ledger and a Redis of a test's own, with the money protocol between them.
package final class TestStores: Sendable {
    /// The database.
    package let database: SharedServers.Database
    /// The Redis.
    package let redis: SharedServers.Redis
    /// How both are reached.
    package let configuration: StoreConfiguration
    /// The protocol, as a process named `test`.
    package let money: MoneyStores
    /// The file with the pepper.
    package let pepperPath: String
    private let directory: TemporaryDirectory

    /// Starts a Redis and makes a database.
    ///
    /// - Parameters:
    ///   - redisSettings: Settings of that Redis beyond those of every installation.
    ///   - postgres: Where to make the database; the shared server when nil.
    package init(redisSettings: [String: String] = [:], postgres: PrivatePostgres? = nil) throws {
        directory = try TemporaryDirectory()
        database = try TestDatabase.make(in: postgres)
        redis = try SharedServers.Redis(settings: redisSettings)
        pepperPath = directory.path + "/pepper"
        try Data(Pepper.testText.utf8).write(to: URL(fileURLWithPath: pepperPath))
        var settings = Settings(environment: [
            "TOLLGATE_DATABASE": try TestDatabase.applicationString(database),
            "TOLLGATE_REDIS": redis.socketPath, "TOLLGATE_PEPPER_FILE": pepperPath,
        ])
        configuration = StoreConfiguration(&settings)
        try #require(settings.mistakes.isEmpty)
        money = MoneyStores(configuration, owner: "test", programName: "test", connectionsMax: 8)
        try money.registerRedis()
    }

    /// The environment that a program of ours needs to use the same stores.
    package var environment: [String: String] {
        [
            "TOLLGATE_DATABASE": configuration.database, "TOLLGATE_REDIS": configuration.redis,
            "TOLLGATE_MIGRATE_DATABASE": database.connectionString, "TOLLGATE_PEPPER_FILE": pepperPath,
        ]
    }

    /// Creates a tenant with a balance, in decimal dollars.
    package func makeTenant(
        _ name: String, balance: String, creditLimit: Money = .zero, dailyQuota: Int64? = nil,
        monthlyQuota: Int64? = nil, timeZone: String = "UTC"
    ) throws -> TenantID {
        let tenant = try #require(TenantID(name))
        let register = TenantRegister(database: money.database)
        _ = try register.create(
            tenant, timeZone: timeZone, creditLimit: creditLimit, dailyQuota: dailyQuota,
            monthlyQuota: monthlyQuota)
        let amount = try #require(Money(decimal: balance))
        if amount > .zero { try addCredit(amount, to: tenant, externalID: "initial") }
        return tenant
    }

    /// Adds a credit as the command line does.
    package func addCredit(_ amount: Money, to tenant: TenantID, externalID: String) throws {
        _ = try money.settlement.addCredit(
            amount, to: tenant, kind: "test", externalID: externalID, period: TestStores.period)
    }

    /// Creates an API key and returns its text.
    package func makeKey(
        _ tenant: TenantID, allowedModels: [String]? = nil, budget: KeyBudget? = nil
    ) throws -> String {
        let secret = try TenantRegister(database: money.database).createKey(
            for: tenant, label: "test", allowedModels: allowedModels, budget: budget,
            pepper: configuration.pepper)
        return try #require(secret).text
    }

    /// Today, in UTC.
    package static var period: Period {
        Period(unixSeconds: Int64(Date().timeIntervalSince1970), offsetSeconds: 0)
    }

    /// Both sides of a tenant's books.
    package func books(_ tenant: TenantID) throws -> TestBooks {
        TestBooks(
            ledger: try LedgerReader.totals(money.database, of: tenant),
            image: try money.quota.image(of: tenant))
    }

    /// Checks invariant I1 for a tenant that is at rest: R = C − K − P and HR = P, to the nano-dollar.
    package func expectExactBooks(
        _ tenant: TenantID, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let books = try books(tenant)
        let image = try #require(books.image, "no image of \(tenant)", sourceLocation: sourceLocation)
        #expect(image.balance == books.ledger.balance, "R = C − K − P", sourceLocation: sourceLocation)
        #expect(image.held == books.ledger.held, "HR = P", sourceLocation: sourceLocation)
    }
}

/// What the ledger and the image say of a tenant.
package struct TestBooks: Sendable {
    /// The ledger's sums.
    package let ledger: TenantTotals
    /// The image in Redis; nil when there is none.
    package let image: TenantImage?
}

extension Pepper {
    static let testText = "a pepper that is only for tests, 32+"

    /// That of all test installations.
    package static func forTests() throws -> Pepper { try #require(Pepper(testText)) }
}
