import Core
import Foundation
import Ledger
import TestSupport

/// Joins what clients, provider, ledger and Redis wrote down, and finds what cannot be.
///
/// Each finding begins with the invariant that it breaks, and names the trace or the tenant.
struct FaultAudit {
    private let evidence: FaultEvidence
    private let rows: [TraceID: FaultRow]
    private let calls: [TraceID: [TestProviderCall]]

    init(_ evidence: FaultEvidence) {
        self.evidence = evidence
        rows = Dictionary(evidence.rows.map { ($0.trace, $0) }, uniquingKeysWith: { first, _ in first })
        calls = Dictionary(
            grouping: evidence.calls.filter { $0.traceID != nil },
            by: { $0.traceID ?? TraceID(lowestAtUnixMilliseconds: 0) })
    }

    /// All that is wrong.
    func findings() -> [String] {
        evidence.observations + evidence.answers.flatMap { answer($0) } + names() + providerCalls()
            + evidence.rows.flatMap { row($0) } + ended() + unseen()
            + evidence.tenants.flatMap { books($0) } + house()
    }

    // MARK: - What clients saw

    /// I10, I11, I12: the row says what its client saw.
    private func answer(_ answer: FaultAnswer) -> [String] {
        guard let trace = answer.trace else { return [] }
        let row = rows[trace]
        // What ends a hold without a row does not always know the key.
        if let row,
            row.tenant != answer.tenant.description || ![answer.keyID, row.namelessKey].contains(row.keyID)
        {
            return ["I5 \(trace) of \(answer.tenant) has a row of \(row.tenant), key \(row.keyID)"]
        }
        if answer.isFinal {
            guard let row, row.status == "committed" else {
                return ["I10 \(trace): its client saw the final answer, but the row is \(words(row))"]
            }
            let told = answer.isReplayed ? Money.zero : Money(nanodollars: row.charge)
            if let cost = answer.cost, cost != told.description {
                return ["I10 \(trace): its client was told \(cost), but the row is \(words(row))"]
            }
            return []
        }
        if answer.status >= 400 {
            let refund = evidence.tenants.first { $0.tenant == row?.tenant }?.refunds[trace.description] ?? 0
            guard let row, row.status != "voided", row.charge == 0 || refund != row.charge else { return [] }
            return ["I11 \(trace): its client saw error \(answer.status), but the row is \(words(row))"]
        }
        return interrupted(answer, trace, row)
    }

    private func interrupted(_ answer: FaultAnswer, _ trace: TraceID, _ row: FaultRow?) -> [String] {
        guard answer.status == 200, answer.pieces > 0 else { return [] }
        guard let row else {
            return ["I12 \(trace): its client saw \(answer.pieces) pieces; there is no row"]
        }
        // The first checkpoint of a stream is written a quarter of a second after its first byte at the latest; until then a
        // process that dies loses what it delivered.
        if row.errorCode == "OWNER_DIED", answer.flowMilliseconds < 1_000 { return [] }
        if row.status != "committed" || row.charge <= 0 || row.usageSource.isEmpty || row.charge > row.hold {
            return ["I12 \(trace): its client saw \(answer.pieces) pieces, but the row is \(words(row))"]
        }
        if row.interruptedBy != "crash", row.outputTokens < Int64(answer.pieces) {
            return ["I12 \(trace): \(answer.pieces) pieces came, only \(row.outputTokens) tokens are charged"]
        }
        return []
    }

    /// No two requests have one name.
    private func names() -> [String] {
        let first = evidence.answers.filter { !$0.isReplayed }
        let named = Dictionary(grouping: first.compactMap(\.trace), by: { $0 })
        return named.filter { $0.value.count > 1 }.map {
            "I5 \($0.key) is the name of \($0.value.count) requests"
        }
    }

    /// Rows of requests whose client learnt no name: no more of a tenant than it had answers without one.
    private func unseen() -> [String] {
        let seen = Set(evidence.answers.compactMap(\.trace))
        let unnamed = Dictionary(
            grouping: evidence.answers.filter { $0.trace == nil }, by: \.tenant.description)
        let rows = Dictionary(grouping: evidence.rows.filter { !seen.contains($0.trace) }, by: \.tenant)
        return rows.compactMap { tenant, rows in
            let count = unnamed[tenant]?.count ?? 0
            guard rows.count > count else { return nil }
            return "I5 \(tenant): \(rows.count) rows without a client, only \(count) answers without a name"
        }
    }

    // MARK: - What the provider executed

    /// I8, I9: each call has a row that was there before it, each trace one call, each charge what its call costs.
    private func providerCalls() -> [String] {
        let unnamed = evidence.calls.filter { $0.traceID == nil }.map { "I8 a call without a trace: \($0)" }
        return unnamed
            + calls.flatMap { trace, calls -> [String] in
                guard let row = rows[trace] else { return ["I8 \(trace) was called without a row"] }
                var found: [String] = []
                if calls.count > 1 { found.append("I9 \(trace) was called \(calls.count) times") }
                for call in calls where row.createdAt > call.beganAt + 2 {
                    found.append("I8 \(trace) was called \(row.createdAt - call.beganAt) ms before its row")
                }
                if row.status == "committed", row.usageSource == "provider",
                    let call = calls.first(where: { $0.outcome == "complete" })
                {
                    let usage = Usage(input: call.prompt_tokens, output: call.completion_tokens)
                    let cost = evidence.prices[row.priceVersion]?.cost(of: usage)?.nanodollars
                    if cost.map({ min($0, row.hold) }) != row.charge {
                        found.append(
                            "I9 \(trace): its call costs \(cost ?? -1), but the row is \(words(row))")
                    }
                }
                return found
            }
    }

    // MARK: - Rows

    /// I6, I9, I16, I18: what holds of each row by itself.
    private func row(_ row: FaultRow) -> [String] {
        var found: [String] = []
        if row.charge < 0 || row.charge > row.hold || (row.status != "committed" && row.charge != 0) {
            found.append("I6 \(row.trace): \(words(row))")
        }
        if row.status == "committed", calls[row.trace] == nil {
            found.append("I9 \(row.trace) was charged without a call")
        }
        if !row.hasEnded { found.append("I16 \(row.trace) is still pending") }
        let days = evidence.clockOffsets.map { offset in
            Period(unixSeconds: (row.trace.unixMilliseconds + offset) / 1_000, offsetSeconds: 0).day
        }
        if !days.contains(row.day) { found.append("I18 \(row.trace) counts in \(row.day)") }
        return found
    }

    /// I5: what had ended stays as it was.
    private func ended() -> [String] {
        evidence.earlier.filter { rows[$0.trace] != $0 }.map {
            "I5 \($0.trace) had ended as \(words($0)), and the row is \(words(rows[$0.trace]))"
        }
    }

    private func words(_ row: FaultRow?) -> String {
        guard let row else { return "missing" }
        return "\(row.status), charge \(row.charge) of \(row.hold), usage '\(row.usageSource)', "
            + "ended by '\(row.interruptedBy)', code '\(row.errorCode)'"
    }

    // MARK: - Books

    /// I1, I3, I4, I16, I19: both sides of a tenant.
    private func books(_ books: FaultBooks) -> [String] {
        let rows = evidence.rows.filter { $0.tenant == books.tenant }
        let charged = rows.reduce(0) { $0 + $1.charge }
        let held = rows.reduce(0) { $0 + ($1.hasEnded ? 0 : $1.hold) }
        var found: [String] = []
        let own = books.credited - charged - held
        if let balance = books.balance {
            if balance != own { found.append("I1 \(books.tenant): balance \(balance), not \(own)") }
            if balance < -books.creditLimit { found.append("I4 \(books.tenant): balance \(balance)") }
        } else {
            found.append("I1 \(books.tenant) has no image")
        }
        let inRedis = books.holds.values.reduce(0, +)
        if inRedis != held { found.append("I1 \(books.tenant): \(inRedis) held in Redis, \(held) pending") }
        if let difference = books.difference { found.append("I2 \(difference)") }
        if own < -books.creditLimit { found.append("I3 \(books.tenant): \(own) is left") }
        if charged != books.charged || held != books.held {
            found.append(
                "I19 \(books.tenant): its rows come to \(charged), the ledger's sum is \(books.charged)")
        }
        for trace in books.holds.keys { found.append("I16 \(trace) of \(books.tenant) is still held") }
        for budget in books.budgets {
            let used = rows.reduce(0) { $0 + ($1.keyID == budget.keyID ? $1.charge : 0) }
            if used != budget.used {
                found.append("I19 key \(budget.keyID): used \(budget.used), not \(used)")
            }
            if used > budget.limit { found.append("I3 key \(budget.keyID): \(used) of \(budget.limit)") }
        }
        if let quota = books.dailyQuota {
            let days = Dictionary(grouping: rows.filter { $0.status == "committed" }, by: \.day)
            for (day, rows) in days where Int64(rows.count) > quota {
                found.append("I3 \(books.tenant): \(rows.count) requests on \(day) of \(quota)")
            }
        }
        return found
    }

    /// I19: all tenants together.
    private func house() -> [String] {
        let credited = evidence.tenants.reduce(0) { $0 + $1.credited }
        let balances = evidence.tenants.reduce(0) { $0 + ($1.balance ?? 0) + $1.holds.values.reduce(0, +) }
        let charged = evidence.rows.reduce(0) { $0 + $1.charge }
        let left = credited - charged - balances
        return left == 0 ? [] : ["I19 credits - charges - balances of all tenants = \(left)"]
    }
}

extension TestProviderCall {
    var traceID: TraceID? { trace.flatMap { TraceID($0) } }

    /// When the call reached the provider, in Unix milliseconds.
    var beganAt: Int64 {
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        // A line that cannot be read is a call before all rows.
        guard let end = try? format.parse(at) else { return 0 }
        return Int64((end.timeIntervalSince1970 * 1_000).rounded()) - duration_ms
    }
}
