import ArgumentParser
import Catalog
import Core
import Foundation
import Gateway
import JSON

/// The command `tollgate provider …`.
struct ProviderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider", abstract: "Add providers: whose API serves the models.",
        subcommands: [Add.self])

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
            let base = try baseURL()
            let credential = credential == "-" ? readLine() ?? "" : credential
            guard !credential.isEmpty, credential.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw ValidationError("--credential: printable characters without blanks")
            }
            let stores = try CommandStores()
            let editor = CatalogEditor(database: stores.money.database, pepper: stores.configuration.pepper)
            let addition = try attempt {
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

        private func baseURL() throws -> String {
            guard let parts = URLComponents(string: url), let scheme = parts.scheme,
                ["http", "https"].contains(scheme),
                let host = parts.host, !host.isEmpty, parts.user == nil, parts.query == nil,
                parts.fragment == nil
            else {
                throw ValidationError("--url: an http or https address without user, query or fragment")
            }
            return String(url.reversed().drop { $0 == "/" }.reversed())
        }
    }
}

/// The command `tollgate model …`.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Add models: what clients may ask for.", subcommands: [Add.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Offer a model, served by a provider. Several providers may serve one model.")

        @Argument(help: "The name clients use.") var model: String
        @Option(help: "The provider that serves it.") var provider: String
        @Option(help: "The name the provider uses, if another.") var upstreamModel: String?
        @Option(help: "Lower is tried first.") var priority = 100
        @Option(help: "Its share among providers of equal priority.") var weight = 1
        @Option(help: "The most tokens one answer may have.") var outputTokensMax = 4_096
        @Option(help: "Bytes that make at least one prompt token; 1 is always safe.") var bytesPerToken = 1
        @Option(help: "The field for the output cap: max_tokens or max_completion_tokens.")
        var outputCapField = "max_tokens"
        @OptionGroup var output: OutputOptions

        func run() throws {
            try check()
            let stores = try CommandStores()
            let editor = CatalogEditor(database: stores.money.database, pepper: stores.configuration.pepper)
            let addition = try attempt {
                try editor.addModel(
                    model, provider: provider, upstreamModel: upstreamModel ?? model, priority: priority,
                    weight: weight, outputTokensMax: outputTokensMax, bytesPerToken: bytesPerToken,
                    outputCapField: outputCapField)
            }
            switch addition {
            case .added: break
            case .alreadyThere: throw fail("'\(model)' at '\(provider)' exists already", ExitStatus.conflict)
            case .unknownProvider: throw fail("there is no provider '\(provider)'", ExitStatus.notFound)
            }
            if output.json {
                printJSON([("model", .string(model)), ("provider", .string(provider))])
            } else {
                print(
                    "Added model \(model) at \(provider). It is refused until it has a price: tollgate price set \(model) …"
                )
            }
        }

        private func check() throws {
            for name in [model, upstreamModel ?? model] where !Names.isModelName(name) {
                throw ValidationError(
                    "'\(name)' cannot name a model: printable ASCII without blanks or quotes")
            }
            guard (-1_000_000...1_000_000).contains(priority) else {
                throw ValidationError("--priority: ±1000000")
            }
            guard (1...1_000_000).contains(weight) else { throw ValidationError("--weight: 1 to 1000000") }
            guard (1...10_000_000).contains(outputTokensMax) else {
                throw ValidationError("--output-tokens-max: 1 to 10000000")
            }
            guard (1...16).contains(bytesPerToken) else {
                throw ValidationError("--bytes-per-token: 1 to 16")
            }
            guard ["max_tokens", "max_completion_tokens"].contains(outputCapField) else {
                throw ValidationError("--output-cap-field: max_tokens or max_completion_tokens")
            }
        }
    }
}

/// The command `tollgate price …`.
struct PriceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "price", abstract: "Publish prices.", subcommands: [Set.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Publish a model's price, in dollars per million tokens. Requests that run keep the price they began with."
        )

        @Argument(help: "The model.") var model: String
        @Option(help: "Only for this provider.") var provider: String?
        @Option(help: "Prompt tokens.") var input: String
        @Option(help: "Answer tokens.") var output: String
        @Option(help: "Prompt tokens from the provider's cache; as --input unless given.") var cachedInput:
            String?
        @Option(help: "Prompt tokens written to the cache; as --input unless given.") var cacheWrite: String?
        @Option(help: "Prompt tokens written to the cache for an hour; as --cache-write unless given.")
        var cacheWriteHour: String?
        @Option(help: "Reasoning tokens; as --output unless given.") var reasoning: String?
        @Option(help: "Audio tokens of the prompt; as --input unless given.") var audioInput: String?
        @Option(help: "Audio tokens of the answer; as --output unless given.") var audioOutput: String?
        @Option(help: "A flat amount for each request, in dollars.") var perRequest = "0"
        @OptionGroup var format: OutputOptions

        func run() throws {
            guard Names.isModelName(model) else { throw ValidationError("'\(model)' cannot name a model") }
            let rates = Price.Rates(
                input: try rate(input, "--input"), output: try rate(output, "--output"),
                cachedInput: try optionalRate(cachedInput, "--cached-input"),
                cacheWrite: try optionalRate(cacheWrite, "--cache-write"),
                cacheWriteHour: try optionalRate(cacheWriteHour, "--cache-write-hour"),
                reasoning: try optionalRate(reasoning, "--reasoning"),
                audioInput: try optionalRate(audioInput, "--audio-input"),
                audioOutput: try optionalRate(audioOutput, "--audio-output"))
            let flat = try parseMoney(perRequest, "--per-request")
            guard flat <= .holdLimit else {
                throw ValidationError("--per-request: at most \(Money.holdLimit)")
            }
            let stores = try CommandStores()
            let editor = CatalogEditor(database: stores.money.database, pepper: stores.configuration.pepper)
            let version = try attempt {
                try editor.publish(rates, perRequest: flat, model: model, provider: provider)
            }
            guard let version else {
                throw fail("there is no provider '\(provider ?? "")'", ExitStatus.notFound)
            }
            if format.json {
                printJSON([("model", .string(model)), ("version", JSONValue(Int64?.some(version)))])
            } else {
                print("Published price version \(version) of \(model).")
            }
        }

        private func rate(_ text: String, _ option: String) throws -> Int64 {
            let rate = try parseMoney(text, option).nanodollars
            guard rate <= Price.rateLimit else { throw ValidationError("\(option): at most 1000000 dollars") }
            return rate
        }

        private func optionalRate(_ text: String?, _ option: String) throws -> Int64? {
            try text.map { try rate($0, option) }
        }
    }
}
