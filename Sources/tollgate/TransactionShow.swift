import ArgumentParser
import Core
import Gateway
import JSON
import Ledger
import Quota

extension TransactionsCommand {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one billing transaction, and how its charge comes about, line by line.")

        @Argument(help: "The trace id: what the client got as x-request-id.") var trace: String
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard let id = TraceID(trace) else { throw ValidationError("'\(trace)' is not a trace id") }
            let stores = try CommandStores()
            let rows = try attempt {
                try LedgerReader.transactions(stores.money.database, trace: id)
            }
            guard !rows.isEmpty else { throw fail("there is no transaction \(id)", ExitStatus.notFound) }
            let held = rows.map { row in
                // The ledger's side is worth showing also while Redis does not answer; `attempt` has said so.
                let holds = TenantID(row.listed.tenant).flatMap { tenant in
                    try? attempt { try stores.money.quota.holds(of: tenant) }
                }
                return holds?.first { $0.trace == id }?.amount
            }
            if output.json {
                printJSONList(zip(rows, held).map { Self.members($0, heldInRedis: $1) })
            } else {
                for (row, held) in zip(rows, held) { Self.show(row, heldInRedis: held) }
            }
        }

        /// The buckets that count: what they are called, tokens, and nano-dollars a million.
        private static func buckets(_ row: DetailedTransaction) -> [(String, Int64, Int64?)] {
            let (usage, rates) = (row.listed.usage, row.price?.rates)
            return [
                ("input", usage.input, rates?.input), ("cached input", usage.cachedInput, rates?.cachedInput),
                ("cache write, 5 min", usage.cacheWrite, rates?.cacheWrite),
                ("cache write, 1 h", usage.cacheWriteHour, rates?.cacheWriteHour),
                ("output", usage.output, rates?.output), ("reasoning", usage.reasoning, rates?.reasoning),
                ("audio input", usage.audioInput, rates?.audioInput),
                ("audio output", usage.audioOutput, rates?.audioOutput),
            ].filter { $0.1 > 0 }
        }

        private static func show(_ row: DetailedTransaction, heldInRedis: Money?) {
            let listed = row.listed
            let served = [listed.provider, listed.upstreamModel].compactMap { $0 }.joined(separator: " ")
            printTable(
                ["transaction", listed.trace],
                [
                    ["tenant", listed.tenant], ["API key", listed.key ?? "none"],
                    ["status", listed.status + (listed.errorCode.map { ", \($0)" } ?? "")],
                    ["model", listed.model + (served.isEmpty ? "" : ", served by \(served)")],
                    [
                        "kind",
                        listed.capability + (listed.isStream ? ", stream" : ", plain") + ending(listed),
                    ],
                    ["began", "\(listed.createdAt), may take until \(row.deadline)"],
                    [
                        "ended",
                        listed.settledAt.map { end in
                            end + (listed.latencyMilliseconds.map { ", after \($0) ms" } ?? "")
                        } ?? "not yet",
                    ],
                    ["owner", row.owner],
                    [
                        "hold",
                        "$\(listed.hold), number \(row.rseq) in epoch \(row.epoch), counts on \(row.period.day)",
                    ],
                    ["in Redis", heldInRedis.map { "held: $\($0)" } ?? "not held"],
                    ["balance", "$\(listed.balanceBefore) before the hold, $\(listed.balanceAfter) with it"],
                ])
            print("")
            if listed.status == "committed" { showCharge(row) } else { print("charge: $\(listed.charge)") }
        }

        private static func ending(_ listed: ListedTransaction) -> String {
            if let by = listed.interruptedBy { return ", ended early by \(by)" }
            return listed.streamCompleted ? ", came to its end" : ""
        }

        private static func showCharge(_ row: DetailedTransaction) {
            let listed = row.listed
            let source = listed.usageSource ?? "unknown"
            guard let price = row.price, let cost = price.cost(of: listed.usage) else {
                print("charge: $\(listed.charge); it names no price, or its usage (\(source)) costs too much")
                return
            }
            printTable(
                ["tokens (\(source))", "", "", "$ a million (price \(price.version))", "", "$"],
                buckets(row).map { name, tokens, rate in
                    [
                        name, "\(tokens)", "×", "\(Money(nanodollars: rate ?? 0))", "=",
                        exact(Int128(tokens) * Int128(rate ?? 0)),
                    ]
                })
            let sum = buckets(row).reduce(Int128(0)) { $0 + Int128($1.1) * Int128($1.2 ?? 0) }
            print("sum: $\(exact(sum)), rounded half up: $\(cost - price.perRequest)")
            print("a request: $\(price.perRequest)")
            print("cost: $\(cost)")
            let expected = min(cost, listed.hold)
            print(
                "charge: $\(listed.charge)"
                    + (listed.charge == expected ? "" : ", WHICH SHOULD BE $\(expected)")
                    + (cost > listed.hold ? ", the hold; the house pays $\(row.overrun)" : "")
                    + "; given back: $\(listed.hold - listed.charge)")
        }

        /// Millionths of nano-dollars as dollars: fifteen decimals.
        private static func exact(_ value: Int128) -> String {
            let unit: Int128 = 1_000_000_000_000_000
            let fraction = String(value % unit)
            return "\(value / unit)." + String(repeating: "0", count: 15 - fraction.count) + fraction
        }

        private static func members(
            _ row: DetailedTransaction, heldInRedis: Money?
        ) -> [(String, JSONValue)] {
            let listed = row.listed
            let cost = row.price.flatMap { $0.cost(of: listed.usage) }
            let tokens = buckets(row).map { name, tokens, rate in
                JSONValue.object([
                    JSONMember("bucket", .string(name)), JSONMember("tokens", JSONValue(tokens)),
                    JSONMember(
                        "price_per_million",
                        JSONValue(rate.map { Money(nanodollars: $0).description })),
                    JSONMember("amount", .string(exact(Int128(tokens) * Int128(rate ?? 0)))),
                ])
            }
            return [
                ("trace_id", .string(listed.trace)), ("tenant", .string(listed.tenant)),
                ("api_key_id", JSONValue(listed.key)), ("status", .string(listed.status)),
                ("model", .string(listed.model)), ("provider", JSONValue(listed.provider)),
                ("upstream_model", JSONValue(listed.upstreamModel)), ("is_stream", .bool(listed.isStream)),
                ("hold", .string(listed.hold.description)), ("charge", .string(listed.charge.description)),
                ("cost", JSONValue(cost?.description)), ("overrun", .string(row.overrun.description)),
                ("price_version", JSONValue(listed.priceVersion)),
                ("per_request", JSONValue(row.price?.perRequest.description)),
                ("usage_source", JSONValue(listed.usageSource)), ("usage", .array(tokens)),
                ("held_in_redis", JSONValue(heldInRedis?.description)), ("owner", .string(row.owner)),
                ("epoch", JSONValue(row.epoch)), ("rseq", JSONValue(row.rseq)),
                ("day", JSONValue(Int64(row.period.day))), ("created_at", .string(listed.createdAt)),
                ("deadline", .string(row.deadline)), ("settled_at", JSONValue(listed.settledAt)),
                ("latency_ms", JSONValue(listed.latencyMilliseconds)),
                ("error_code", JSONValue(listed.errorCode)),
                ("interrupted_by", JSONValue(listed.interruptedBy)),
            ]
        }
    }
}
