import Core
import Foundation
import TestSupport
import TestTools
import Testing

extension FaultRows {
    /// The audit can fail: what is wrong with the books is found, each by its invariant.
    @Suite struct AuditTests {
        /// A change of what was written down, and the invariant that it breaks.
        struct Forgery: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let breaks: String
            let change: @Sendable (inout FaultEvidence) throws -> Void

            init(
                _ words: String, breaks: String,
                _ change: @escaping @Sendable (inout FaultEvidence) throws -> Void
            ) {
                testDescription = words
                self.breaks = breaks
                self.change = change
            }
        }

        /// What a little load without any fault has left.
        private static let evidence = Result<FaultEvidence, any Error> {
            let scene = try FaultScene(try FaultScene.makeGateway())
            return try scene.observe()
        }

        @Test func `nothing is found where nothing is wrong`() throws {
            let evidence = try Self.evidence.get()
            #expect(FaultAudit(evidence).findings() == [])
            #expect(evidence.answers.count > 100 && evidence.calls.count > 80 && evidence.earlier.count > 10)
            #expect(
                evidence.answers.contains { $0.status == 402 }
                    && evidence.answers.contains { $0.status == 502 })
            #expect(evidence.answers.contains { $0.order.leaves && !$0.isFinal && $0.pieces > 0 })
            #expect(evidence.tenants.contains { !$0.budgets.isEmpty })
        }

        @Test(arguments: FaultRows.AuditTests.forgeries)
        func `what is wrong is found`(forgery: Forgery) throws {
            var evidence = try Self.evidence.get()
            try forgery.change(&evidence)
            let findings = FaultAudit(evidence).findings()
            #expect(findings.contains { $0.hasPrefix(forgery.breaks + " ") }, "\(findings)")
        }

        static let forgeries = [
            Forgery("a balance in Redis has a nano-dollar too much", breaks: "I1") {
                $0.tenants[0].balance = $0.tenants[0].balance.map { $0 + 1 }
            },
            Forgery("a tenant has no image", breaks: "I1") { $0.tenants[0].balance = nil },
            Forgery("a hold in Redis belongs to no row", breaks: "I1") {
                $0.tenants[0].holds[.fresh()] = 5
            },
            Forgery("a hold in Redis is still there", breaks: "I16") {
                $0.tenants[0].holds[.fresh()] = 0
            },
            Forgery("a row is still pending", breaks: "I16") {
                $0.rows[try row($0, "voided")].status = "pending"
            },
            Forgery("a tenant has spent more than it had", breaks: "I3") {
                let poor = try #require($0.tenants.firstIndex { $0.tenant == "poor" })
                $0.tenants[poor].credited = 0
            },
            Forgery("a key has spent more than its budget", breaks: "I3") {
                let tenant = try #require($0.tenants.firstIndex { !$0.budgets.isEmpty })
                $0.tenants[tenant].budgets[0].limit = 1
            },
            Forgery("a tenant had more requests than its day allows", breaks: "I3") {
                let counted = try #require($0.tenants.firstIndex { $0.tenant == "counted" })
                let row = try #require(
                    $0.rows.first { $0.tenant == "counted" && $0.status == "committed" })
                $0.rows += Array(repeating: row, count: Int($0.tenants[counted].dailyQuota ?? 0))
            },
            Forgery("a balance is below its limit", breaks: "I4") { $0.tenants[0].balance = -1 },
            Forgery("an ended row was changed", breaks: "I5") {
                let trace = $0.earlier[0].trace
                let row = try #require($0.rows.firstIndex { $0.trace == trace })
                $0.rows[row].hold += 1
            },
            Forgery("an ended row is gone", breaks: "I5") {
                let trace = $0.earlier[0].trace
                $0.rows.removeAll { $0.trace == trace }
            },
            Forgery("a row belongs to no client", breaks: "I5") {
                let trace = $0.rows[0].trace
                $0.answers.removeAll { $0.trace == trace }
            },
            Forgery("two requests had one name", breaks: "I5") { $0.answers.append($0.answers[0]) },
            Forgery("more was charged than held", breaks: "I6") {
                $0.rows[try row($0, "committed")].hold = 1
            },
            Forgery("a voided row has a charge", breaks: "I6") { $0.rows[try row($0, "voided")].charge = 1 },
            Forgery("a call has no row", breaks: "I8") {
                let trace = $0.calls[0].trace
                $0.rows.removeAll { $0.trace.description == trace }
            },
            Forgery("a row came after its call", breaks: "I8") {
                $0.rows[try row($0, "committed")].createdAt += 60_000
            },
            Forgery("a trace was called twice", breaks: "I9") { $0.calls.append($0.calls[0]) },
            Forgery("a charge has no call", breaks: "I9") {
                let trace = $0.rows[try row($0, "committed")].trace
                $0.calls.removeAll { $0.trace == trace.description }
            },
            Forgery("a charge is not what its call costs", breaks: "I9") {
                $0.rows[try row($0, "committed")].charge -= 1
            },
            Forgery("the client of a voided row saw the final answer", breaks: "I10") {
                let trace = try final($0)
                let row = try #require($0.rows.firstIndex { $0.trace == trace })
                ($0.rows[row].status, $0.rows[row].charge) = ("voided", 0)
            },
            Forgery("a client was told another cost", breaks: "I10") {
                let answer = try #require($0.answers.firstIndex { $0.cost != nil && $0.isFinal })
                $0.answers[answer].cost = "0.000000001"
            },
            Forgery("a client saw an error and is charged", breaks: "I11") {
                let trace = try final($0)
                let answer = try #require($0.answers.firstIndex { $0.trace == trace })
                ($0.answers[answer].isFinal, $0.answers[answer].status) = (false, 500)
            },
            Forgery("an interrupted stream cost nothing", breaks: "I12") {
                let row = try interrupted($0)
                ($0.rows[row].status, $0.rows[row].charge) = ("voided", 0)
            },
            Forgery("an interrupted stream's usage has no source", breaks: "I12") {
                $0.rows[try interrupted($0)].usageSource = ""
            },
            Forgery("a row counts in another day", breaks: "I18") { $0.rows[0].day -= 1 },
            Forgery("the rows of a tenant do not come to the ledger's sum", breaks: "I19") {
                $0.tenants[0].charged += 1
            },
            Forgery("a key's budget in Redis is not what it spent", breaks: "I19") {
                let tenant = try #require($0.tenants.firstIndex { !$0.budgets.isEmpty })
                $0.tenants[tenant].budgets[0].used += 1
            },
            Forgery("a credit is missing", breaks: "I19") { $0.tenants[0].credited -= 1 },
        ]

        /// A row in this state, whose usage the provider told.
        private static func row(_ evidence: FaultEvidence, _ status: String) throws -> Int {
            try #require(
                evidence.rows.firstIndex { row in
                    row.status == status && (status == "voided" || row.usageSource == "provider")
                })
        }

        /// The trace of an answer that came whole.
        private static func final(_ evidence: FaultEvidence) throws -> TraceID {
            try #require(evidence.answers.first { $0.isFinal }?.trace)
        }

        /// The row of a stream that its client has seen a part of.
        private static func interrupted(_ evidence: FaultEvidence) throws -> Int {
            let answer = try #require(evidence.answers.first { $0.pieces > 0 && !$0.isFinal })
            return try #require(evidence.rows.firstIndex { $0.trace == answer.trace })
        }
    }
}
