import Core
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

@Suite struct MoneyParallelTests {
    @Test(arguments: [false, true])
    func `of two hundred requests at once a balance for seven admits exactly seven`(isStream: Bool) throws {
        let gateway = try TestGateway()
        let order = ChatOrder(model: "sim-hold", isStream: isStream)
        let balance = Money(nanodollars: order.hold.nanodollars * 7)
        let tenant = try gateway.stores.makeTenant("acme", balance: balance.description)
        let key = try gateway.stores.makeKey(tenant)

        let decided = Locked<[Int: Int]>([:])
        let requests = try Concurrently.begin(200) { _ in
            let answer = try gateway.insistingChat(order, key: key)
            decided.withLock { $0[answer.status, default: 0] += 1 }
            return answer
        }
        // The provider keeps its answers until all are decided; until then nothing comes back.
        var lowest = balance
        let areDecided = try Eventually.holds(seconds: 60) {
            lowest = min(lowest, try #require(try gateway.stores.books(tenant).image).balance)
            return decided.withLock { $0[402] == 193 }
        }
        #expect(areDecided, "answers by status: \(decided.withLock { $0 })")
        try gateway.waitForHeldCalls(7)
        let during = try gateway.stores.books(tenant)
        #expect(during.image?.balance == .zero && during.image?.held == balance)
        #expect(during.ledger.pending == 7 && during.ledger.held == balance)
        try gateway.releaseHeldCalls()

        let answers = try requests.wait()
        #expect(answers.count { $0.isComplete(order) } == 7)
        #expect(answers.count { $0.status == 402 } == 193)
        #expect(lowest >= .zero)
        #expect(try gateway.providerCalls().count == 7)
        let rows = try gateway.rows(of: tenant)
        #expect(rows.count == 7 && rows.allSatisfy { $0.status == "committed" })
        try gateway.expectLogAndLedgerAgree()
        try gateway.stores.expectExactBooks(tenant)
    }
}
