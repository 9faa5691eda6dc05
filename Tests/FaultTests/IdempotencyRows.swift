import Core
import Foundation
import Gateway
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Row 39: the same request many times at once.
    @Suite(.serialized) struct IdempotencyRows {
        @Test func `row 39: of fifty requests under one Idempotency-Key at once one is executed`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway(processes: 2))
            let caller = try scene.makeTenant("twice", balance: "10", isLimited: false)[0]
            var rounds: [[FaultAnswer]] = []
            let report = try scene.run("39", "one Idempotency-Key × 50") { scene in
                for round in 0..<(scene.form.times * 2) {
                    let model = ["sim-ok", "sim-slow"][round / 2 % 2]
                    let order = FaultOrder(
                        model: model, isStream: round % 2 == 1, idempotencyKey: "key-\(round)")
                    rounds.append(try Concurrently.run(50) { _ in scene.ask(order, caller) })
                    // Once more when it has run: the answer again.
                    rounds[round].append(scene.ask(order, caller))
                }
            }
            for (round, answers) in rounds.enumerated() {
                let first = answers.filter { $0.isFinal && !$0.isReplayed }
                #expect(first.count == 1, "round \(round)")
                let others = answers.filter { !$0.isFinal }
                #expect(others.allSatisfy { $0.status == 409 && $0.code == "idempotency_key_in_use" })
                let replayed = answers.filter(\.isReplayed)
                #expect(replayed.count + others.count == 50 && answers[50].isReplayed, "round \(round)")
                #expect(replayed.allSatisfy { $0.trace == first.first?.trace && $0.isFinal })
            }
            let rows = report.evidence.rows.filter { $0.tenant == caller.tenant.description }
            let calls = report.evidence.calls.filter { call in rows.contains { $0.trace == call.traceID } }
            #expect(calls.count == rounds.count)
            #expect(rows.count { $0.status == "committed" } == rounds.count)
            #expect(report.errors.allSatisfy { $0.status == 409 && $0.tenant == caller.tenant })
        }
    }
}
