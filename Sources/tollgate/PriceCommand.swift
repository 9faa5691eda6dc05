import ArgumentParser
import Catalog
import Core
import Gateway
import JSON

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
            let version = try attempt(CommandStores().catalogEditor) { editor in
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
