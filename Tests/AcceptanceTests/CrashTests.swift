import Core
import Gateway
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import TestSupport
import Testing

@Suite struct CrashTests {
    /// What a crash after a step of the protocol leaves behind, and what comes of it.
    struct Point: Sendable, CustomTestStringConvertible {
        let specification: String
        /// What stands in the ledger when the process is gone; nil for nothing.
        let left: String?
        let leavesHold: Bool
        let callsProvider: Bool
        let isCharged: Bool

        var testDescription: String { "after step \(specification)" }

        static let all = [
            Point(specification: "1", left: nil, leavesHold: true, callsProvider: false, isCharged: false),
            Point(
                specification: "2", left: "pending", leavesHold: true, callsProvider: false, isCharged: false),
            Point(
                specification: "3", left: "pending", leavesHold: true, callsProvider: true, isCharged: false),
            Point(
                specification: "4", left: "pending", leavesHold: true, callsProvider: true, isCharged: false),
            Point(
                specification: "5", left: "committed", leavesHold: true, callsProvider: true, isCharged: true),
            Point(
                specification: "6", left: "committed", leavesHold: false, callsProvider: true, isCharged: true
            ),
        ]
    }

    @Test(arguments: [false, true])
    func `after a crash at each step of the protocol the books come out exact`(isStream: Bool) throws {
        let gateway = try TestGateway()
        for (number, point) in Point.all.enumerated() {
            let tenant = try gateway.stores.makeTenant("tenant-\(number)", balance: "10")
            let key = try gateway.stores.makeKey(tenant)
            try gateway.restart(crashAt: point.specification)
            let order = ChatOrder(isStream: isStream)
            #expect(!(try gateway.chat(order, key: key).isComplete(order)), "\(point)")
            #expect(gateway.waitForEnd(seconds: 20) == .exited(137), "\(point)")

            let left = try gateway.stores.books(tenant)
            #expect(try gateway.rows(of: tenant).map(\.status) == (point.left.map { [$0] } ?? []), "\(point)")
            #expect(left.image?.holds.isEmpty == !point.leavesHold, "\(point)")
            try gateway.sweepUntilClean()
            let books = try gateway.stores.books(tenant)
            let calls = try gateway.providerCalls().filter { call in
                try gateway.rows(of: tenant).contains { $0.trace.description == call.trace }
            }
            #expect(calls.isEmpty == !point.callsProvider, "\(point): \(calls)")
            #expect(books.ledger.charged == (point.isCharged ? calls.first?.cost : .zero), "\(point)")
            #expect(books.ledger.committed + books.ledger.voided == 1, "\(point)")
            try gateway.stores.expectExactBooks(tenant)
        }
        try gateway.start()
        let key = try gateway.stores.makeKey(try #require(TenantID("tenant-0")))
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
    }
}
