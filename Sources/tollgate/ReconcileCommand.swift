import ArgumentParser
import Core
import Gateway
import JSON
import Jobs
import Ledger
import Quota
import Settlement

/// The command `tollgate reconcile`.
struct ReconcileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile",
        abstract: "Compare the ledger and Redis, and show what is behind a difference.",
        discussion: """
            Both sides are read as of one moment, while requests run: what Redis has of a tenant, balance and holds together, \
            is what the ledger has credited less what it has charged, to the nano-dollar. Exit status 1 when a tenant differs.
            """)

    @Option(help: "Show this tenant's two sides line by line, and the rows behind a difference.")
    var explain: String?
    @OptionGroup var output: OutputOptions

    func run() throws {
        let id = try explain.map { try parseTenant($0) }
        let stores = try JobStores()
        if let id { _ = try stores.command.tenants.required(id) }
        guard try stores.hasImages(for: "reconcile") else { return }
        if let id {
            try explain(id, stores)
        } else {
            try list(stores)
        }
    }

    private func list(_ stores: JobStores) throws {
        var steps = Reconciler.Step()
        var last = ""
        while true {
            let tenants = try attempt { try stores.audit.tenants(after: last, countMax: 1_000) }
            guard let end = tenants.last else { break }
            last = end.description
            let step = try attempt { () throws(ReconcileError) in try stores.reconciler.compare(tenants) }
            steps.tenants += step.tenants.filter { !$0.isExact }
            steps.notLoaded += step.notLoaded
            steps.compared += step.compared
            steps.failures += step.failures
        }
        if output.json {
            printJSONList(
                steps.tenants.map { Self.members($0) },
                [
                    ("compared", JSONValue(Int64(steps.compared))),
                    ("not_loaded", JSONValue(Int64(steps.notLoaded))),
                    ("problems", .array(steps.failures.map { .string("\($0.tenant): \($0.reason)") })),
                ])
        } else {
            if !steps.tenants.isEmpty {
                printTable(
                    ["tenant", "credited", "charged", "expected", "in Redis", "drift", ""],
                    steps.tenants.map { tenant in
                        [
                            tenant.tenant.description, "$\(tenant.sums.credited)", "$\(tenant.sums.charged)",
                            "$\(tenant.expected)", "$\(tenant.shown)", "$\(tenant.drift)", tenant.words,
                        ]
                    })
            }
            for failure in steps.failures { print("\(failure.tenant): \(failure.reason)") }
            print(
                "\(steps.tenants.count) of \(steps.compared) tenants differ, \(steps.notLoaded) not loaded")
        }
        guard steps.tenants.isEmpty, steps.failures.isEmpty else { throw ExitCode.failure }
    }

    private func explain(_ id: TenantID, _ stores: JobStores) throws {
        let step = try attempt { () throws(ReconcileError) in try stores.reconciler.compare([id]) }
        for failure in step.failures { throw fail("\(failure.tenant): \(failure.reason)") }
        guard let tenant = step.tenants.first else {
            if output.json {
                printJSON([("tenant", .string(id.description)), ("loaded", .bool(false))])
            } else {
                print("Redis has no image of \(id): its next request reads the ledger.")
            }
            return
        }
        let findings = try attempt { try Explanation(tenant, ledger: stores.ledger) }
        if output.json {
            printJSON(
                Self.members(tenant) + [
                    ("loaded", .bool(true)), ("findings", .array(findings.lines.map { .string($0) })),
                ])
        } else {
            printTable(["", "ledger", "Redis"], Self.sides(tenant))
            print("Drift: $\(tenant.drift)\(tenant.isExact ? "" : " (\(tenant.words))")")
            for line in findings.lines { print(line) }
        }
        guard tenant.isExact else { throw ExitCode.failure }
    }

    /// The two sides of a tenant's books, line by line.
    private static func sides(_ tenant: ReconciledTenant) -> [[String]] {
        let (image, sums) = (tenant.image, tenant.sums)
        return [
            ["credited", "$\(sums.credited)", "up to credit \(image.creditSequence)"],
            ["charged, not held any more", "$\(sums.charged)", ""],
            ["balance", "", "$\(image.balance)"],
            ["held", "", "$\(image.held) in \(image.holds.count) holds"],
            ["credited − charged, balance + held", "$\(tenant.expected)", "$\(tenant.shown)"],
            [
                "requests of \(image.period.day), held ones apart", "\(sums.dailyUsed)",
                "\(sums.dailyUsed + tenant.dailyDrift)",
            ],
            [
                "requests of \(image.period.month), held ones apart", "\(sums.monthlyUsed)",
                "\(sums.monthlyUsed + tenant.monthlyDrift)",
            ],
            ["epoch", "\(sums.epoch)", "\(image.epoch), \(image.version) holds taken in it"],
        ]
            + tenant.budgets.map {
                ["used by key \($0.key), \($0.shown.period)", "$\($0.expected)", "$\($0.shown.used)"]
            }
    }

    /// A tenant's two sides as members of a JSON object.
    static func members(_ tenant: ReconciledTenant) -> [(String, JSONValue)] {
        [
            ("tenant", .string(tenant.tenant.description)),
            ("drift", .string(tenant.drift.description)),
            ("credited", .string(tenant.sums.credited.description)),
            ("charged", .string(tenant.sums.charged.description)),
            ("expected", .string(tenant.expected.description)),
            ("redis_balance", .string(tenant.image.balance.description)),
            ("redis_held", .string(tenant.image.held.description)),
            ("redis_holds", JSONValue(Int64(tenant.image.holds.count))),
            ("daily_drift", JSONValue(tenant.dailyDrift)),
            ("monthly_drift", JSONValue(tenant.monthlyDrift)),
            ("pending_not_held", JSONValue(tenant.sums.unheld)),
            ("budgets_differing", JSONValue(Int64(tenant.budgets.count { $0.drift != .zero }))),
            ("epoch", JSONValue(tenant.sums.epoch)), ("redis_epoch", JSONValue(tenant.image.epoch)),
        ]
    }
}
