import Core
import Foundation
import Gateway
import Ledger
import PrivateServers
import ProviderSimulator
import Quota
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

/// More than there is room for: who refuses, how, and what becomes of the others.
///
/// One after the other: each takes all that the machine has.
@Suite(.serialized) struct OverloadTests {
    /// Checks that a refusal is tollgated's own, and tells when to come again.
    private func expectOurRefusal(
        _ answer: TestHTTP.Answer, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(answer.status == 503, sourceLocation: sourceLocation)
        #expect(answer.trace != nil, "not of tollgated", sourceLocation: sourceLocation)
        #expect(answer.headers["retry-after"] == "1", sourceLocation: sourceLocation)
        #expect(answer.headers["content-type"] == "application/json", sourceLocation: sourceLocation)
        let error = try EndpointsError(answer.body, sourceLocation: sourceLocation)
        #expect(error.code == "service_unavailable", sourceLocation: sourceLocation)
    }

    private func figure(_ name: String, _ gateway: TestGateway) throws -> Double {
        let line = try TestHTTP.get(gateway.adminURL + "/metrics").body.split(separator: "\n")
            .first { $0.hasPrefix(name + " ") }
        return line.flatMap { Double($0.dropFirst(name.count + 1)) } ?? -1
    }

    @Test(arguments: [1, 2])
    func `at twice the capacity some are refused by us, the others served in time, and it is over at once`(
        processes: Int
    ) throws {
        var provider = SimulatorOptions()
        provider.ttfbMilliseconds = 100
        let each = 8 / processes
        let gateway = try TestGateway(
            environment: ["TOLLGATE_WORKERS_MAX": "\(each)", "TOLLGATE_QUEUE_MAX": "\(each)"],
            provider: provider, processes: processes)
        let caller = try EndpointsCaller("crowd", at: gateway, balance: "1000")
        let isOver = Atomic(false)
        // 8 run and 8 wait.
        let load = try Concurrently.begin(32) { _ in
            var seen: [(answer: TestHTTP.Answer, milliseconds: Int64)] = []
            while !isOver.load(ordering: .relaxed) {
                let began = Deadline.now
                let answer = try caller.chat("sim-ok")
                seen.append((answer, began.elapsedNanoseconds / 1_000_000))
                // Less patient than it is told to be.
                if answer.status == 503 { usleep(50_000) }
            }
            return seen
        }
        usleep(4_000_000)
        isOver.store(true, ordering: .relaxed)
        let seen = try load.wait().flatMap { $0 }
        let stopped = Deadline.now
        let recovered = try Eventually.holds(seconds: 5) {
            let began = Deadline.now
            return try caller.chat("sim-ok").status == 200 && began.elapsedNanoseconds < 2_000_000_000
        }
        #expect(recovered)
        print("recovered after \(stopped.elapsedNanoseconds / 1_000_000) ms")

        let admitted = seen.filter { $0.answer.status == 200 }
        let refused = seen.filter { $0.answer.status != 200 }
        #expect(admitted.count > 32 && refused.count > 32, "\(admitted.count) and \(refused.count)")
        for answer in refused { try expectOurRefusal(answer.answer) }
        // A tenth of a second waiting and one being served; ten times that on a busy machine.
        let slowest = seen.map(\.milliseconds).max() ?? 0
        print(
            "\(processes) processes: \(admitted.count) admitted, \(refused.count) refused, slowest \(slowest) ms"
        )
        #expect(slowest < 4_000)
        // None stands idle while another refuses.
        let owners = try gateway.stores.database.run(
            "SELECT count(*) FROM billing_transactions GROUP BY owner"
        ).split(separator: "\n").compactMap { Int($0) }
        #expect(owners.count == processes && owners.allSatisfy { $0 >= admitted.count / 4 }, "\(owners)")
        let areCounted = try Eventually.holds(seconds: 10) {
            try figure("tollgate_requests_shed_total", gateway) >= Double(refused.count)
        }
        #expect(areCounted)
        try gateway.stores.expectExactBooks(caller.tenant)
        #expect(try gateway.stores.books(caller.tenant).ledger.committed >= admitted.count)
    }

    @Test(arguments: [1, 2])
    func `two thousand connections at once are all answered by us`(processes: Int) throws {
        let gateway = try TestGateway(
            environment: [
                "TOLLGATE_WORKERS_MAX": "32", "TOLLGATE_QUEUE_MAX": "32", "TOLLGATE_LOG_LEVEL": "error",
            ],
            processes: processes, filesMax: 12_000)
        let caller = try EndpointsCaller("thousands", at: gateway, balance: "1000")
        let body = EndpointsCaller.body("sim-ok")
        for round in 1...2 {
            let outcomes = TestCrowd.chat(2_000, at: gateway.url, key: caller.key, body)
            let statuses = Dictionary(grouping: outcomes, by: \.answer.status).mapValues(\.count)
            let slowest = outcomes.map(\.milliseconds).max() ?? 0
            print("\(processes) processes, round \(round): \(statuses), slowest \(slowest) ms")
            #expect(Set(statuses.keys).isSubset(of: [200, 503]), "\(statuses)")
            #expect(statuses[200, default: 0] >= 64)
            for outcome in outcomes where outcome.answer.status != 200 {
                try expectOurRefusal(outcome.answer)
            }
        }
        #expect(try caller.chat("sim-ok").status == 200)
        try gateway.stores.expectExactBooks(caller.tenant)
    }

    @Test func `two thousand that find room are all served`() throws {
        let gateway = try TestGateway(
            environment: [
                "TOLLGATE_LOG_LEVEL": "error", "TOLLGATE_WORKERS_MAX": "1400",
                "TOLLGATE_REDIS_TIMEOUT_MILLISECONDS": "10000",
            ], processes: 2,
            filesMax: 12_000)
        let caller = try EndpointsCaller("room", at: gateway, balance: "1000")
        let body = EndpointsCaller.body("sim-hold")
        let crowd = try Concurrently.begin(1) { _ in
            TestCrowd.chat(2_000, at: gateway.url, key: caller.key, body)
        }
        try gateway.waitForHeldCalls(2_000)
        // Those of both, and neither has more room than for two thirds.
        #expect(try Eventually.holds(seconds: 10) { try figure("tollgate_workers_busy", gateway) >= 2_000 })
        try gateway.releaseHeldCalls()
        let outcomes = try crowd.wait()[0]
        let statuses = Dictionary(grouping: outcomes, by: \.answer.status).mapValues(\.count)
        #expect(statuses == [200: 2_000])
        #expect(try caller.settledBooks())
        #expect(try gateway.stores.books(caller.tenant).ledger.committed == 2_000)
        try gateway.stores.expectExactBooks(caller.tenant)
    }
}

extension EndpointsCaller {
    /// Waits until nothing of this tenant is pending or held.
    fileprivate func settledBooks() throws -> Bool {
        try Eventually.holds(seconds: 60) {
            let books = try gateway.stores.books(tenant)
            return books.ledger.pending == 0 && books.image?.holds.isEmpty == true
        }
    }
}
