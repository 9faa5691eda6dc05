import ArgumentParser
import Catalog
import Core
import Foundation
import Gateway
import JSON

/// The command `tollgate provider …`.
struct ProviderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider",
        abstract: "Add, change, list and remove providers: whose API serves the models.",
        subcommands: [Add.self, Set.self, List.self, Remove.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a provider with an OpenAI-compatible API.")

        @Argument(help: "A name for it.") var name: String
        @Option(help: "Where its API begins, such as https://api.example.com/v1.") var url: String
        @Option(
            help:
                "Our secret for calling it; '-' reads it from standard input, where no process list shows it."
        )
        var credential: String
        @Flag(help: "Its address may be private: this machine, or a local network.")
        var allowPrivateAddresses = false
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard Names.isName(name, lengthMax: 63) else {
                throw ValidationError(
                    "'\(name)' is not a provider's name: lower-case letters, digits, '.', '_' and '-'")
            }
            let base = try parseBaseURL(url)
            let credential = try parseCredential(credential)
            let addition = try attempt(CommandStores().catalogEditor) { editor in
                try editor.addProvider(
                    name: name, baseURL: base, credential: credential,
                    allowsPrivateAddresses: allowPrivateAddresses)
            }
            guard addition == .added else {
                throw fail("provider '\(name)' exists already", ExitStatus.conflict)
            }
            if output.json {
                printJSON([("name", .string(name)), ("url", .string(base))])
            } else {
                print("Added provider \(name) at \(base).")
            }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what is given of a provider; requests that begin after it see the change.")

        @Argument(help: "The provider's name.") var name: String
        @Option(help: "Where its API begins.") var url: String?
        @Option(help: "Our secret for calling it, in place of the old one; '-' reads it from standard input.")
        var credential: String?
        @Flag(inversion: .prefixedNo, help: "Its address may be private: this machine, or a local network.")
        var allowPrivateAddresses: Bool?
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard url != nil || credential != nil || allowPrivateAddresses != nil else {
                throw ValidationError("nothing to change is given")
            }
            let base = try url.map { try parseBaseURL($0) }
            let secret = try credential.map { try parseCredential($0) }
            let changed = try attempt(CommandStores().catalogEditor) { editor in
                try editor.setProvider(
                    name, baseURL: base, credential: secret, allowsPrivateAddresses: allowPrivateAddresses)
            }
            guard let changed else { throw fail("there is no provider '\(name)'", ExitStatus.notFound) }
            if output.json {
                printJSON([
                    ("name", .string(name)), ("url", .string(changed.baseURL)),
                    ("allow_private_addresses", .bool(changed.allowsPrivateAddresses)),
                    ("credential_replaced", .bool(secret != nil)),
                ])
            } else {
                print(
                    "Provider \(name) is at \(changed.baseURL), private addresses "
                        + "\(changed.allowsPrivateAddresses ? "allowed" : "refused")"
                        + (secret == nil ? "." : ", with a new credential."))
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List providers by name.")

        @OptionGroup var output: OutputOptions

        func run() throws {
            let providers = try attempt(CommandStores().money.database) { try CatalogListing.providers($0) }
            if output.json {
                printJSONList(
                    providers.map { provider in
                        [
                            ("name", .string(provider.name)), ("url", .string(provider.baseURL)),
                            ("allow_private_addresses", .bool(provider.allowsPrivateAddresses)),
                            ("models", .array(provider.models.map { .string($0) })),
                            ("created_at", .string(provider.createdAt)),
                        ]
                    })
            } else {
                printTable(
                    ["provider", "url", "private addresses", "models", "added"],
                    providers.map { provider in
                        [
                            provider.name, provider.baseURL,
                            provider.allowsPrivateAddresses ? "allowed" : "refused",
                            "\(provider.models.count)",
                            provider.createdAt,
                        ]
                    })
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a provider and its credential.",
            discussion: """
                Requests that run go on. The ledger keeps all it says of the provider, and prices stay: added again under \
                the same name, it has the prices that it alone had.
                """)

        @Argument(help: "The provider's name.") var name: String
        @Flag(help: "Also remove the models that it serves.") var withModels = false
        @OptionGroup var output: OutputOptions

        func run() throws {
            let removal = try attempt(CommandStores().catalogEditor) { editor in
                try editor.removeProvider(name, withModels: withModels)
            }
            switch removal {
            case .unknownProvider: throw fail("there is no provider '\(name)'", ExitStatus.notFound)
            case .servesModels(let models):
                throw fail(
                    "provider '\(name)' serves \(models.joined(separator: ", ")): remove these first "
                        + "('tollgate model remove MODEL --provider \(name)'), or all at once with --with-models",
                    ExitStatus.conflict)
            case .removed(let models):
                if output.json {
                    printJSON([
                        ("name", .string(name)), ("removed", .bool(true)),
                        ("models", .array(models.map { .string($0) })),
                    ])
                } else {
                    let served = models.isEmpty ? "" : " and its models \(models.joined(separator: ", "))"
                    print("Removed provider \(name)\(served).")
                }
            }
        }
    }
}

/// Parses an argument as the address of an API.
private func parseBaseURL(_ text: String) throws -> String {
    guard let parts = URLComponents(string: text), let scheme = parts.scheme,
        ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty, parts.user == nil,
        parts.query == nil, parts.fragment == nil
    else {
        throw ValidationError("--url: an http or https address without user, query or fragment")
    }
    return String(text.reversed().drop { $0 == "/" }.reversed())
}

/// Parses an argument as a credential, or reads it from standard input.
private func parseCredential(_ text: String) throws -> String {
    let credential = text == "-" ? readLine() ?? "" : text
    guard !credential.isEmpty, credential.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw ValidationError("--credential: printable characters without blanks")
    }
    return credential
}
