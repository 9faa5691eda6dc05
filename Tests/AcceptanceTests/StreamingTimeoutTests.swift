import Core
import Ledger
import TestSupport
import Testing

/// Providers that fall silent for longer than they may.
@Suite struct StreamingTimeoutTests {
    @Test func `a silent provider is a timeout before its answer, and an error event within it`() throws {
        let gateway = try TestGateway(environment: [
            "TOLLGATE_UPSTREAM_FIRST_BYTE_MILLISECONDS": "500", "TOLLGATE_UPSTREAM_GAP_MILLISECONDS": "500",
        ])
        try expectTimeout(gateway, isStream: false)
        try expectTimeout(gateway, isStream: true)
        try expectStall(gateway)
    }

    private func expectTimeout(_ gateway: TestGateway, isStream: Bool) throws {
        let caller = try EndpointsCaller("hang", at: gateway)
        let answer = try caller.chat("sim-hang", isStream ? #""stream":true"# : "")
        #expect(answer.status == 504)
        #expect(try EndpointsError(answer.body).code == "upstream_timeout")
        let row = try caller.onlyRow()
        #expect(row.status == "voided")
        #expect(try caller.providerCalls(of: [row]).map(\.outcome) == ["hung"])
        try caller.expectBooks(charged: .zero)
    }

    private func expectStall(_ gateway: TestGateway) throws {
        let scene = try StreamingScene("stall", at: gateway)
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        call.piece("two")
        #expect(client.readsToEnd())
        #expect(client.events.count == 3)
        #expect(try EndpointsError(client.events.last ?? "").code == "upstream_timeout")
        #expect(call.isLeft(milliseconds: 2_000))
        let row = try scene.caller.settledRow()
        #expect(row.usageSource == "observed")
        #expect(row.interruptedBy == "provider")
        try scene.caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 2)))
    }
}
