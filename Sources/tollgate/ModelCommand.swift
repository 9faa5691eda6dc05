import ArgumentParser
import Catalog
import Core
import Gateway
import JSON

/// The command `tollgate model …`.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Add, list and remove models: what clients may ask for.",
        subcommands: [Add.self, List.self, Remove.self])

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
            let addition = try attempt(CommandStores().catalogEditor) { editor in
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

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List models with their prices, in dollars per million tokens.")

        @Option(help: "Only what this provider serves.") var provider: String?
        @OptionGroup var output: OutputOptions

        func run() throws {
            let models = try attempt(CommandStores().money.database) {
                try CatalogListing.models($0, of: provider)
            }
            if output.json {
                printJSONList(models.map { Self.members($0) })
            } else {
                printTable(
                    [
                        "model", "provider", "upstream model", "priority", "weight", "output max", "input",
                        "output",
                    ],
                    models.map { model in
                        [
                            model.model, model.provider, model.upstreamModel, "\(model.priority)",
                            "\(model.weight)", "\(model.outputTokensMax)",
                            model.price.map { "$\($0.input)" } ?? "no price",
                            model.price.map { "$\($0.output)" } ?? "",
                        ]
                    })
            }
        }

        private static func members(_ model: ListedModel) -> [(String, JSONValue)] {
            [
                ("model", .string(model.model)), ("provider", .string(model.provider)),
                ("upstream_model", .string(model.upstreamModel)),
                ("priority", JSONValue(model.priority)),
                ("weight", JSONValue(model.weight)),
                ("output_tokens_max", JSONValue(model.outputTokensMax)),
                ("bytes_per_token", JSONValue(model.bytesPerToken)),
                ("output_cap_field", .string(model.outputCapField)),
                ("price_version", JSONValue(model.price?.version)),
                ("input", JSONValue(model.price?.input.description)),
                ("cached_input", JSONValue(model.price?.cachedInput.description)),
                ("output", JSONValue(model.price?.output.description)),
                ("reasoning", JSONValue(model.price?.reasoning.description)),
                ("per_request", JSONValue(model.price?.perRequest.description)),
                ("created_at", .string(model.createdAt)),
            ]
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop offering a model: new requests for it are answered 404.",
            discussion: """
                Requests that run go on. The ledger keeps all it says of the model, and its price stays: added again, it has \
                the price it had.
                """)

        @Argument(help: "The name clients use.") var model: String
        @Option(help: "Only at this provider; at all of them unless given.") var provider: String?
        @OptionGroup var output: OutputOptions

        func run() throws {
            let providers = try attempt(CommandStores().catalogEditor) { editor in
                try editor.removeModel(model, provider: provider)
            }
            guard !providers.isEmpty else {
                throw fail(
                    "there is no model '\(model)'" + (provider.map { " at '\($0)'" } ?? ""),
                    ExitStatus.notFound)
            }
            if output.json {
                printJSON([
                    ("model", .string(model)), ("removed", .bool(true)),
                    ("providers", .array(providers.map { .string($0) })),
                ])
            } else {
                print("Removed model \(model) at \(providers.joined(separator: ", ")).")
            }
        }
    }
}
