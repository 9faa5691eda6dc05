import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

/// A chat request as a client sends it.
struct ChatOrder: Sendable {
    var model = "sim-ok"
    var isStream = false
    var text = "How are you today?"
    var maxTokens = 64

    /// The body.
    var body: String {
        #"{"model":"\#(model)","max_tokens":\#(maxTokens),"stream":\#(isStream),"#
            + #""messages":[{"role":"user","content":"\#(text)"}]}"#
    }

    /// What is held for it at first: the most it can cost, or of a stream what its first tokens can.
    var hold: Money {
        let price = Price(version: 0, rates: TestGateway.rates)
        let tokens = Int64(isStream ? min(maxTokens, 256) : maxTokens)
        return price.upperBound(inputTokens: Int64(body.utf8.count), outputTokens: tokens, answers: 1)
            ?? .zero
    }
}

extension TestHTTP.Answer {
    /// Whether it is an answer with everything that belongs to it.
    func isComplete(_ order: ChatOrder) -> Bool {
        status == 200 && (!order.isStream || body.hasSuffix("data: [DONE]\n\n"))
    }

    /// The request's name, when the gateway answered it.
    var trace: TraceID? { headers["x-request-id"].flatMap { TraceID($0) } }
}

/// A row of the ledger, as far as these tests compare it.
struct BilledRow: Sendable, Hashable {
    let trace: TraceID
    let tenant: String
    let status: String
    let hold: Money
    let charge: Money
    let usageSource: String?
    let interruptedBy: String?
    let epoch: Int64
}

extension TestGateway {
    /// Sends a chat request.
    ///
    /// - Parameter idempotencyKey: Under which it may be sent again.
    func chat(
        _ order: ChatOrder, key: String, idempotencyKey: String? = nil
    ) throws -> TestHTTP.Answer {
        try TestHTTP.send(
            "POST", url + "/v1/chat/completions", key: key, body: order.body,
            headers: idempotencyKey.map { [("idempotency-key", $0)] } ?? [])
    }

    /// Sends a chat request as SDKs do: again while the gateway says that it cannot decide right now.
    func insistingChat(_ order: ChatOrder, key: String) throws -> TestHTTP.Answer {
        let deadline = Deadline.after(seconds: 40)
        while true {
            let answer = try chat(order, key: key)
            guard answer.status == 503, !deadline.isPast else { return answer }
            usleep(50_000)
        }
    }

    /// All rows of a tenant, or of all.
    func rows(of tenant: TenantID? = nil) throws -> [BilledRow] {
        let statement = Statement(
            name: "acceptance_rows",
            sql: """
                SELECT trace_id, tenant_id, status, hold, charge, usage_source, interrupted_by, epoch
                  FROM billing_transactions WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY trace_id
                """)
        let rows = try stores.money.database.query(statement, [.text(orNull: tenant?.description)])
        return try (0..<rows.count).map { row in
            BilledRow(
                trace: try #require(TraceID(rows.text(row, 0))), tenant: rows.text(row, 1),
                status: rows.text(row, 2), hold: Money(nanodollars: rows.int(row, 3)),
                charge: Money(nanodollars: rows.int(row, 4)), usageSource: rows.optionalText(row, 5),
                interruptedBy: rows.optionalText(row, 6), epoch: rows.int(row, 7))
        }
    }

    /// How many calls of `sim-hold` wait at the provider.
    func heldCalls() throws -> Int {
        let body = try TestHTTP.get("http://127.0.0.1:\(provider.port)/_control/held").body
        return Int(body.filter(\.isNumber)) ?? -1
    }

    /// Lets all calls of `sim-hold` go on.
    func releaseHeldCalls() throws {
        _ = try TestHTTP.post("http://127.0.0.1:\(provider.port)/_control/release", key: nil, "{}")
    }

    /// Waits until so many calls of `sim-hold` wait at the provider.
    func waitForHeldCalls(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
        var held = 0
        let isReached = try Eventually.holds {
            held = try heldCalls()
            return held == count
        }
        #expect(isReached, "\(held) calls wait", sourceLocation: sourceLocation)
    }

    /// Sweeps until nothing is pending and no hold is left.
    func sweepUntilClean(sourceLocation: SourceLocation = #_sourceLocation) throws {
        var output = ""
        let isClean = try Eventually.holds(seconds: 60) {
            output = try command("job", "sweep", "--hold-grace-seconds", "1").output
            return try rows().allSatisfy { $0.status != "pending" }
                && stores.money.quota.tenantsWithHolds().isEmpty
        }
        #expect(isClean, "\(output)", sourceLocation: sourceLocation)
    }

    /// Checks the provider's log against the ledger: one row a call and one call a row, and each charge is what the call cost.
    ///
    /// - Parameter charged: Whether a call of this outcome is charged.
    func expectLogAndLedgerAgree(
        charged: (TestProviderCall) -> Bool = { $0.outcome == "complete" },
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let calls = try providerCalls()
        let rows = Dictionary(try rows().map { ($0.trace, $0) }, uniquingKeysWith: { first, _ in first })
        var seen: Set<TraceID> = []
        for call in calls {
            let trace = try #require(call.trace.flatMap { TraceID($0) }, sourceLocation: sourceLocation)
            #expect(seen.insert(trace).inserted, "called twice: \(trace)", sourceLocation: sourceLocation)
            let row = try #require(
                rows[trace], "called without a row: \(trace)", sourceLocation: sourceLocation)
            let expected = charged(call) ? call.cost : .zero
            #expect(row.charge == expected, "\(row) for \(call)", sourceLocation: sourceLocation)
        }
        for row in rows.values where row.status == "committed" {
            #expect(
                seen.contains(row.trace), "charged without a call: \(row)", sourceLocation: sourceLocation)
        }
    }
}
