import Core
import Ledger
import PrivateServers
import ProviderSimulator
import TestSupport
import TestTools
import Testing

/// Processes that die in the middle of a request with an `Idempotency-Key`: it is run again or answered, never charged twice.
@Suite struct IdempotencyCrashTests {
    @Test(arguments: [false, true])
    func `R3 after a crash at each step a key leads to one charge`(isStream: Bool) throws {
        let gateway = try TestGateway()
        let order = ChatOrder(isStream: isStream)
        for step in 1...6 {
            let tenant = try gateway.stores.makeTenant("tenant-\(step)", balance: "10")
            let key = try gateway.stores.makeKey(tenant)
            try gateway.restart(crashAt: "\(step)")
            let first = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(!first.isComplete(order), "step \(step)")
            #expect(gateway.waitForEnd(seconds: 20) == .exited(137), "step \(step)")
            try gateway.start()
            if (2...4).contains(step) {
                // Nobody knows yet what became of it.
                let early = try gateway.chat(order, key: key, idempotencyKey: "k")
                #expect(try EndpointsError(early.body).code == "idempotency_key_in_use", "step \(step)")
            }
            try gateway.sweepUntilClean()
            let second = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(second.isComplete(order), "step \(step): \(second)")
            // From the commit on there is an answer, and only then.
            let isReplayed = second.headers["idempotent-replayed"] == "true"
            #expect(isReplayed == (step >= 5), "step \(step)")
            #expect(
                try gateway.chat(order, key: key, idempotencyKey: "k").body == second.body, "step \(step)")

            let rows = try gateway.rows(of: tenant)
            #expect(
                rows.map(\.status) == (step >= 5 ? ["committed"] : ["voided", "committed"]), "step \(step)")
            #expect(rows.last?.trace == second.trace, "step \(step)")
            let calls = try gateway.providerCalls().filter { call in
                rows.contains { $0.trace.description == call.trace }
            }
            // A call whose answer nobody got is the house's.
            #expect(calls.count == ([3, 4].contains(step) ? 2 : 1), "step \(step): \(calls)")
            try gateway.stores.expectExactBooks(tenant)
        }
    }

    @Test func `R3 a stream killed on its way and charged for its checkpoint is never run again`() throws {
        var provider = SimulatorOptions()
        provider.chunks = 2_000
        let gateway = try TestGateway(provider: provider)
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(model: "sim-slow", isStream: true, maxTokens: 4_000)
        let request = try Concurrently.begin(1) { _ in try gateway.chat(order, key: key, idempotencyKey: "k")
        }
        let hasCheckpoint = try Eventually.holds {
            try gateway.stores.database.run(
                "SELECT count(*) FROM stream_checkpoints WHERE output_tokens > 0") == "1\n"
        }
        #expect(hasCheckpoint)
        gateway.kill()
        #expect(try request.wait()[0].isComplete(order) == false)
        try gateway.start()
        try gateway.sweepUntilClean()
        for _ in 0..<2 {
            let again = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(again.status == 409)
            #expect(try EndpointsError(again.body).code == "idempotency_key_interrupted")
        }
        let rows = try gateway.rows(of: tenant)
        #expect(rows.map(\.status) == ["committed"] && rows.map(\.interruptedBy) == ["crash"])
        #expect(try gateway.providerCalls().count == 1)
        try gateway.stores.expectExactBooks(tenant)
    }
}
