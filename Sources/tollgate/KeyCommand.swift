import ArgumentParser
import Core
import Gateway
import JSON
import Quota
import Tenancy

/// The command `tollgate key …`.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Create, change, list and revoke API keys.",
        subcommands: [Create.self, Set.self, List.self, Revoke.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an API key. It is shown once and cannot be shown again.")

        @Option(help: "The tenant it belongs to.") var tenant: String
        @Option(help: "What you call it.") var name = ""
        @Option(help: "A model it may call; repeat for more. All models unless given.") var model: [String] =
            []
        @OptionGroup var budget: BudgetOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try parseTenant(tenant)
            guard name.count <= 200 else { throw ValidationError("--name: at most 200 characters") }
            for name in model where !Names.isModelName(name) {
                throw ValidationError("--model: '\(name)' cannot name a model")
            }
            let limit = try budget.limit()?.limit.map { Money(nanodollars: $0) }
            let period = try budget.period() ?? .total
            let stores = try CommandStores()
            let secret = try attempt {
                try stores.tenants.createKey(
                    for: id, label: name, allowedModels: model.isEmpty ? nil : model,
                    budget: limit.map { KeyBudget(limit: $0, period: period) },
                    pepper: stores.configuration.pepper)
            }
            guard let secret else { throw fail("there is no tenant '\(id)'", ExitStatus.notFound) }
            if limit != nil { stores.applyLimits(of: id) }
            if output.json {
                printJSON([
                    ("id", .string(secret.id)), ("key", .string(secret.text)), ("tenant", .string(tenant)),
                ])
            } else {
                print("API key \(secret.id) of \(tenant); this is the only time it is shown:\n\(secret.text)")
            }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what an API key may spend; running gateways obey it within a second.")

        @Argument(help: "The key's id: the part of it between the first two underscores.") var id: String
        @OptionGroup var budget: BudgetOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard APIKeyID(id) != nil else { throw notAnID(id) }
            let (limit, period) = (try budget.limit(), try budget.period())
            guard limit != nil || period != nil else {
                throw ValidationError("give --budget or --budget-period")
            }
            let stores = try CommandStores()
            let changed = try attempt {
                try stores.tenants.setBudget(ofKey: id, limit: limit, period: period)
            }
            guard let (tenant, budget) = changed else {
                throw fail("there is no API key '\(id)'", ExitStatus.notFound)
            }
            stores.applyLimits(of: tenant)
            if output.json {
                printJSON([
                    ("id", .string(id)), ("tenant", .string(tenant.description)),
                    ("budget_limit", JSONValue(budget.limit?.description)),
                    ("budget_period", .string(budget.period.rawValue)),
                ])
            } else {
                print("The budget of API key \(id) of \(tenant) is \(budget.text).")
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List API keys by tenant and age: their ids, never their secrets.")

        @Option(help: "Only this tenant's.") var tenant: String?
        @Option(help: "Begin after the key of this id: the next page.") var after: String?
        @Option(help: "The most keys.") var limit = 100
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try tenant.map { try parseTenant($0) }
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit: 1 to 10000") }
            if let after, APIKeyID(after) == nil { throw ValidationError("--after: a key's id") }
            let stores = try CommandStores()
            if let id { _ = try stores.tenants.required(id) }
            let keys = try attempt { try stores.tenants.keys(of: id, after: after, countMax: limit) }
            let used = Self.used(by: keys, stores)
            if output.json {
                printJSONList(
                    keys.map { key in
                        [
                            ("id", .string(key.id)), ("tenant", .string(key.tenant)),
                            ("name", .string(key.label)), ("status", .string(key.status)),
                            ("models", key.allowedModels.map { .array($0.map { .string($0) }) } ?? .null),
                            ("created_at", .string(key.createdAt)), ("expires_at", JSONValue(key.expiresAt)),
                            ("revoked_at", JSONValue(key.revokedAt)),
                            ("budget_limit", JSONValue(key.budget?.limit?.description)),
                            ("budget_period", JSONValue(key.budget?.period.rawValue)),
                            ("budget_used", JSONValue(used[key.id]?.description)),
                        ]
                    })
            } else {
                printTable(
                    ["key", "tenant", "status", "created", "models", "budget", "used", "name"],
                    keys.map { key in
                        [
                            key.id, key.tenant, key.status, key.createdAt,
                            key.allowedModels?.joined(separator: " ") ?? "all", key.budget?.text ?? "none",
                            used[key.id].map { "$\($0)" } ?? "-", key.label,
                        ]
                    })
            }
        }

        /// What is used of budgets, holds included, as Redis has it; nothing of tenants that are not loaded, or when Redis is away.
        private static func used(by keys: [ListedKey], _ stores: CommandStores) -> [String: Money] {
            var used: [String: Money] = [:]
            do throws(QuotaError) {
                for key in keys where key.budget?.limit != nil {
                    guard let id = APIKeyID(key.id), let tenant = TenantID(key.tenant) else { continue }
                    used[key.id] = try stores.money.quota.budget(of: id, tenant: tenant)?.used
                }
            } catch {
                _ = fail("used budgets are not known: \(error)")
            }
            return used
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke an API key for ever; running gateways refuse it within a second.")

        @Argument(help: "The key's id: the part of it between the first two underscores.") var id: String
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard APIKeyID(id) != nil else { throw notAnID(id) }
            let stores = try CommandStores()
            guard try attempt({ try stores.tenants.revokeKey(id) }) else {
                throw fail("there is no API key '\(id)'", ExitStatus.notFound)
            }
            if output.json {
                printJSON([("id", .string(id)), ("revoked", .bool(true))])
            } else {
                print("Revoked API key \(id).")
            }
        }
    }
}

private func notAnID(_ text: String) -> ValidationError {
    ValidationError("'\(text)' is not a key's id; give the part between the first two underscores")
}

/// The command `tollgate admin-token …`.
struct AdminTokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin-token", abstract: "Create tokens for the admin endpoints.",
        subcommands: [Create.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an admin token. It is shown once and cannot be shown again.")

        @Option(help: "What you call it.") var name = ""
        @OptionGroup var output: OutputOptions

        func run() throws {
            let stores = try CommandStores()
            let secret = try attempt {
                try stores.tenants.createAdminToken(label: name, pepper: stores.configuration.pepper)
            }
            if output.json {
                printJSON([("id", .string(secret.id)), ("token", .string(secret.text))])
            } else {
                print("Admin token \(secret.id); this is the only time it is shown:\n\(secret.text)")
            }
        }
    }
}
