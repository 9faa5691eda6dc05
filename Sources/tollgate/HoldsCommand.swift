import ArgumentParser
import Core
import Gateway
import JSON
import Ledger
import Settlement

/// The command `tollgate holds …`.
struct HoldsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holds", abstract: "Look at money that is held.", subcommands: [List.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List holds, the oldest first, as the ledger and Redis have them.",
            discussion: """
                A hold is normal while its request runs: pending in the ledger, held in Redis, its owner alive. Others are ended \
                by 'tollgate job sweep': a pending row whose owner is dead, a hold without a row that is older than the \
                sweeper's grace, and a hold whose row has ended.
                """)

        @Option(help: "Only this tenant's.") var tenant: String?
        @Option(help: "The most holds.") var limit = 100
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try tenant.map { try parseTenant($0) }
            guard (1...1_000_000).contains(limit) else { throw ValidationError("--limit: 1 to 1000000") }
            let stores = try CommandStores()
            if let id { _ = try stores.tenants.required(id) }
            let survey = try attempt {
                try HoldSurvey(ledger: stores.money.ledger, quota: stores.money.quota, tenant: id)
            }
            // The ledger's side is worth showing also while Redis does not answer.
            if let problem = survey.redisProblem { _ = fail("Redis: \(problem)") }
            let total = survey.holds.reduce(Money.zero) { $0 + $1.amount }
            let shown = survey.holds.prefix(limit)
            if output.json {
                printJSONList(
                    shown.map { Self.members($0) },
                    [
                        ("count", JSONValue(Int64(survey.holds.count))),
                        ("held", .string(total.description)),
                        ("redis_problem", JSONValue(survey.redisProblem)),
                    ])
            } else {
                printTable(
                    ["age", "trace", "tenant", "key", "amount", "ledger", "Redis", "owner", "model"],
                    shown.map { Self.row($0, isRedisKnown: survey.redisProblem == nil) })
                let rest = survey.holds.count - shown.count
                print(
                    "\(survey.holds.count) holds, $\(total)" + (rest > 0 ? "; \(rest) younger not shown" : "")
                )
            }
        }

        private static func members(_ hold: SurveyedHold) -> [(String, JSONValue)] {
            [
                ("trace_id", .string(hold.trace.description)), ("tenant", .string(hold.tenant.description)),
                ("api_key_id", JSONValue(hold.key)), ("age_seconds", JSONValue(hold.ageSeconds)),
                ("amount", .string(hold.amount.description)), ("status", JSONValue(hold.status?.rawValue)),
                ("redis_amount", JSONValue(hold.amountInRedis?.description)),
                ("owner", JSONValue(hold.row?.owner)),
                ("owner_alive", hold.isOwnerAlive.map { .bool($0) } ?? .null),
                ("model", JSONValue(hold.row?.model)),
                ("is_stream", hold.row.map { .bool($0.isStream) } ?? .null),
            ]
        }

        private static func row(_ hold: SurveyedHold, isRedisKnown: Bool) -> [String] {
            let inRedis = hold.amountInRedis.map { $0 == hold.amount ? "held" : "$\($0)" } ?? "none"
            let owner = hold.row.map { row in
                hold.isOwnerAlive == false ? "\(row.owner) (dead)" : row.owner
            }
            return [
                age(hold.ageSeconds), hold.trace.description, hold.tenant.description, hold.key ?? "",
                "$\(hold.amount)", hold.status?.rawValue ?? "no row", isRedisKnown ? inRedis : "unknown",
                owner ?? "", hold.row?.model ?? "",
            ]
        }

        private static func age(_ seconds: Int64) -> String {
            switch seconds {
            case ..<120: "\(seconds) s"
            case ..<7_200: "\(seconds / 60) min"
            default: "\(seconds / 3_600) h"
            }
        }
    }
}
