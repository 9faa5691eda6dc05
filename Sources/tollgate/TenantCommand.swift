import ArgumentParser
import Core
import Gateway
import JSON
import Ledger
import Quota
import Settlement
import Tenancy
import Threads

/// The command `tollgate tenant …`.
struct TenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant", abstract: "Create, change and look at tenants: who is billed.",
        subcommands: [Create.self, Set.self, Show.self, List.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a tenant, with its first credit.")

        @Argument(help: "The tenant's name.") var name: String
        @Option(help: "The first credit in dollars.") var balance: String?
        @OptionGroup var limits: LimitOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let tenant = try parseTenant(name)
            let credit = try balance.map { try parseMoney($0, "--balance") } ?? .zero
            let limits = try limits.change()
            let stores = try CommandStores()
            let made = try attempt {
                try stores.tenants.create(
                    tenant, timeZone: limits.timeZone ?? "UTC", creditLimit: limits.creditLimit ?? .zero,
                    dailyQuota: limits.dailyQuota?.limit, monthlyQuota: limits.monthlyQuota?.limit,
                    requestsPerMinute: limits.requestsPerMinute?.limit,
                    tokensPerMinute: limits.tokensPerMinute?.limit, concurrency: limits.concurrency?.limit)
            }
            guard made else { throw fail("tenant '\(tenant)' exists already", ExitStatus.conflict) }
            if credit > .zero {
                _ = try stores.addCredit(credit, to: tenant, kind: "initial", externalID: "initial")
            }
            if output.json {
                printJSON([("id", .string(name)), ("balance", .string(credit.description))])
            } else {
                print("Created tenant \(tenant) with a balance of $\(credit).")
            }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change a tenant's limits; running gateways obey them within a second.")

        @Argument(help: "The tenant's name.") var name: String
        @OptionGroup var limits: LimitOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try parseTenant(name)
            let change = try limits.change()
            guard change != TenantChange() else { throw ValidationError("give at least one limit") }
            let stores = try CommandStores()
            let version = try attempt { try stores.tenants.set(id, change) }
            guard let version else { throw fail("there is no tenant '\(id)'", ExitStatus.notFound) }
            stores.applyLimits(of: id)
            if output.json {
                printJSON([("id", .string(name)), ("limits_version", JSONValue(version))])
            } else {
                print("Changed the limits of \(name); their version is \(version).")
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a tenant's balance, holds and charges, in the ledger and in Redis.")

        @Argument(help: "The tenant's name.") var name: String
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try parseTenant(name)
            let stores = try CommandStores()
            let (tenant, createdAt) = try stores.tenants.required(id)
            let totals = try attempt { try LedgerReader.totals(stores.money.database, of: id) }
            // The ledger's side is worth showing also while Redis does not answer; `attempt` has said so.
            let hot = try? attempt { try stores.money.quota.image(of: id) }
            if output.json {
                printJSON([
                    ("id", .string(name)), ("status", .string(tenant.isSuspended ? "suspended" : "active")),
                    ("balance", .string(totals.balance.description)),
                    ("credited", .string(totals.credited.description)),
                    ("charged", .string(totals.charged.description)),
                    ("held", .string(totals.held.description)),
                    ("redis_balance", JSONValue(hot?.balance.description)),
                    ("redis_held", JSONValue(hot?.held.description)),
                    ("credit_limit", .string(tenant.limits.creditLimit.description)),
                    ("daily_used", JSONValue(hot?.dailyUsed)),
                    ("daily_quota", JSONValue(tenant.limits.dailyQuota)),
                    ("monthly_used", JSONValue(hot?.monthlyUsed)),
                    ("monthly_quota", JSONValue(tenant.limits.monthlyQuota)),
                    ("rpm_limit", JSONValue(tenant.limits.requestsPerMinute)),
                    ("tpm_limit", JSONValue(tenant.limits.tokensPerMinute)),
                    ("concurrency_limit", JSONValue(tenant.limits.concurrency)),
                    ("limits_version", JSONValue(tenant.limits.version)),
                    ("committed", JSONValue(totals.committed)), ("pending", JSONValue(totals.pending)),
                    ("voided", JSONValue(totals.voided)), ("time_zone", .string(tenant.timeZone)),
                    ("created_at", .string(createdAt)),
                ])
                return
            }
            print("Tenant \(name)\(tenant.isSuspended ? " (suspended)" : ""), created \(createdAt)")
            printTable(
                ["", "ledger", "Redis"],
                [
                    ["balance", "$\(totals.balance)", hot.map { "$\($0.balance)" } ?? "not loaded"],
                    ["held", "$\(totals.held)", hot.map { "$\($0.held)" } ?? ""],
                    ["charged", "$\(totals.charged)", ""], ["credited", "$\(totals.credited)", ""],
                    ["requests charged", "\(totals.committed)", ""],
                    ["requests running", "\(totals.pending)", ""],
                    ["requests voided", "\(totals.voided)", ""],
                    ["requests today", limit(tenant.limits.dailyQuota), hot.map { "\($0.dailyUsed)" } ?? ""],
                    [
                        "requests this month", limit(tenant.limits.monthlyQuota),
                        hot.map { "\($0.monthlyUsed)" } ?? "",
                    ],
                    ["requests a minute", limit(tenant.limits.requestsPerMinute), ""],
                    ["tokens a minute", limit(tenant.limits.tokensPerMinute), ""],
                    [
                        "requests at once", limit(tenant.limits.concurrency),
                        hot.map { "\($0.holds.count)" } ?? "",
                    ],
                ])
        }

        private func limit(_ quota: Int64?) -> String { quota.map { "of \($0)" } ?? "no limit" }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List tenants by name.")

        @Option(help: "Begin after this name.") var after = ""
        @Option(help: "The most tenants.") var limit = 100
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit: 1 to 10000") }
            let stores = try CommandStores()
            let tenants = try attempt { try stores.tenants.tenants(after: after, countMax: limit) }
            let totals = try tenants.map { entry in
                try attempt { try LedgerReader.totals(stores.money.database, of: entry.tenant.id) }
            }
            if output.json {
                let rows = zip(tenants, totals).map { entry, totals in
                    JSONValue.object([
                        JSONMember("id", .string(entry.tenant.id.description)),
                        JSONMember("status", .string(entry.tenant.isSuspended ? "suspended" : "active")),
                        JSONMember("balance", .string(totals.balance.description)),
                        JSONMember("held", .string(totals.held.description)),
                        JSONMember("charged", .string(totals.charged.description)),
                        JSONMember("created_at", .string(entry.createdAt)),
                    ])
                }
                printJSON([("data", .array(rows))])
            } else {
                printTable(
                    ["tenant", "status", "balance", "held", "charged", "created"],
                    zip(tenants, totals).map { entry, totals in
                        [
                            entry.tenant.id.description, entry.tenant.isSuspended ? "suspended" : "active",
                            "$\(totals.balance)", "$\(totals.held)", "$\(totals.charged)", entry.createdAt,
                        ]
                    })
            }
        }
    }
}

/// The command `tollgate credit …`.
struct CreditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credit", abstract: "Add money to tenants.", subcommands: [Add.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a credit. The external id makes it count once, however often it is added.")

        @Argument(help: "The tenant's name.") var tenant: String
        @Argument(help: "Dollars.") var amount: String
        @Option(help: "Your own number for it, such as an invoice's.") var externalId: String
        @Option(help: "Why.") var kind = "topup"
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try parseTenant(tenant)
            let money = try parseMoney(amount, "amount")
            guard money > .zero else { throw ValidationError("amount: more than zero") }
            guard (1...200).contains(externalId.count) else {
                throw ValidationError("--external-id: 1 to 200 characters")
            }
            let stores = try CommandStores()
            let outcome = try stores.addCredit(money, to: id, kind: kind, externalID: externalId)
            let totals = try attempt { try LedgerReader.totals(stores.money.database, of: id) }
            if output.json {
                printJSON([
                    ("tenant", .string(tenant)), ("amount", .string(money.description)),
                    ("external_id", .string(externalId)), ("repeated", .bool(outcome.wasRepeated)),
                    ("balance", .string(totals.balance.description)),
                ])
            } else {
                print(
                    outcome.wasRepeated
                        ? "Already added as '\(externalId)'; nothing changed. Balance: $\(totals.balance)"
                        : "Added $\(money) to \(tenant). Balance: $\(totals.balance)")
            }
        }
    }
}

extension CommandStores {
    /// Adds a credit, or ends the command with the reason.
    func addCredit(_ amount: Money, to tenant: TenantID, kind: String, externalID: String) throws
        -> CreditOutcome
    {
        let (found, _) = try tenants.required(tenant)
        let period = TimeZones().period(in: found.timeZone, unixSeconds: WallClock.unixMilliseconds / 1_000)
        let outcome = try attempt {
            try money.settlement.addCredit(
                amount, to: tenant, kind: kind, externalID: externalID, period: period)
        }
        switch outcome {
        case .added, .repeated: return outcome
        case .unknownTenant: throw fail("there is no tenant '\(tenant)'", ExitStatus.notFound)
        case .conflict(let standing):
            throw fail(
                "'\(externalID)' was added before with $\(standing), not $\(amount)", ExitStatus.conflict)
        case .beyondLimit:
            throw fail("the balance of '\(tenant)' would pass $\(Money.limit), the most there can be")
        }
    }
}

extension CreditOutcome {
    fileprivate var wasRepeated: Bool {
        if case .repeated = self { true } else { false }
    }
}
