import ArgumentParser
import Core
import Gateway
import JSON
import Tenancy

/// The command `tollgate key …`.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Create and revoke API keys.", subcommands: [Create.self, Revoke.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an API key. It is shown once and cannot be shown again.")

        @Option(help: "The tenant it belongs to.") var tenant: String
        @Option(help: "What you call it.") var name = ""
        @Option(help: "A model it may call; repeat for more. All models unless given.") var model: [String] =
            []
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try parseTenant(tenant)
            guard name.count <= 200 else { throw ValidationError("--name: at most 200 characters") }
            for name in model where !Names.isModelName(name) {
                throw ValidationError("--model: '\(name)' cannot name a model")
            }
            let stores = try CommandStores()
            let secret = try attempt {
                try stores.tenants.createKey(
                    for: id, label: name, allowedModels: model.isEmpty ? nil : model,
                    pepper: stores.configuration.pepper)
            }
            guard let secret else { throw fail("there is no tenant '\(id)'", ExitStatus.notFound) }
            if output.json {
                printJSON([
                    ("id", .string(secret.id)), ("key", .string(secret.text)), ("tenant", .string(tenant)),
                ])
            } else {
                print("API key \(secret.id) of \(tenant); this is the only time it is shown:\n\(secret.text)")
            }
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke an API key for ever; running gateways refuse it within a second.")

        @Argument(help: "The key's id: the part of it between the first two underscores.") var id: String
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard APIKeyID(id) != nil else {
                throw ValidationError(
                    "'\(id)' is not a key's id; give the part between the first two underscores")
            }
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
