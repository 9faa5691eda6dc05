import Core
import Foundation
import Ledger
import PrivateServers
import Quota
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

/// Redis dies under the whole product, and PostgreSQL takes its place.
@Suite struct DegradedModeTests {
    private func expectMode(_ gateway: TestGateway, _ mode: String) throws {
        var told = ""
        let isTold = try Eventually.holds {
            told = try TestHTTP.get(gateway.adminURL + "/readyz").body
            return told.contains(#""quota_mode":"\#(mode)""#)
        }
        #expect(isTold, "\(told)")
        #expect(try TestHTTP.get(gateway.url + "/readyz").status == 200)
    }

    private func run(_ gateway: TestGateway, _ words: String...) throws -> (status: Int32, output: String) {
        try TestCommand.run(words, environment: gateway.environment)
    }

    @Test func `requests are served without Redis and the books are exact when it is back`() throws {
        let gateway = try TestGateway(environment: [
            "TOLLGATE_DEGRADED_MODE": "database", "TOLLGATE_DEGRADED_AFTER_SECONDS": "1",
        ])
        let tenant = try gateway.stores.makeTenant("degraded", balance: "10", dailyQuota: 30)
        let key = try gateway.stores.makeKey(tenant)
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
        try expectMode(gateway, "redis")
        gateway.stores.redis.server.stop(isImmediate: true)
        #expect(try gateway.chat(ChatOrder(), key: key).status == 503, "not before a second")
        for isStream in [false, true] {
            let order = ChatOrder(isStream: isStream)
            #expect(try gateway.insistingChat(order, key: key).isComplete(order))
        }
        try expectMode(gateway, "database")
        let metrics = try TestHTTP.get(gateway.adminURL + "/metrics").body
        #expect(metrics.contains("\ntollgate_quota_mode 1.0\n"))
        let credit = try run(gateway, "credit", "add", "degraded", "5", "--external-id", "in-the-mode")
        #expect(credit.status == 0, "\(credit.output)")
        for words in [
            ["reconcile"], ["job", "consistency"], ["job", "quota-sync"], ["job", "apikey-sync"],
        ] {
            let outcome = try TestCommand.run(words, environment: gateway.environment)
            #expect(outcome.status == 0, "\(outcome.output)")
            #expect(outcome.output.contains("reservations are made in PostgreSQL; Redis is not in use"))
        }
        let sweep = try run(gateway, "job", "sweep")
        #expect(sweep.status == 0, "\(sweep.output)")
        let doctor = try run(gateway, "doctor")
        #expect(doctor.output.contains("reservations are made in PostgreSQL since"))
        // A process that is started now serves, too, and ends at once although Redis cannot be told of anything.
        let started = Deadline.now
        _ = gateway.stop(seconds: 20)
        #expect(started.elapsedNanoseconds < 15_000_000_000)
        try gateway.start()
        #expect(try gateway.chat(ChatOrder(), key: key).status == 200)
        let answers = try Concurrently.run(30) { _ in try gateway.chat(ChatOrder(), key: key).status }
        #expect(answers.count { $0 == 200 } == 26, "what is left of the day's 30: \(answers)")
        #expect(answers.count { $0 == 429 } == 4)
        try gateway.stores.redis.server.start()
        try expectMode(gateway, "redis")
        #expect(try gateway.insistingChat(ChatOrder(), key: key).status == 429)
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.committed == 30 && books.image?.dailyUsed == 30)
        try gateway.stores.expectExactBooks(tenant)
        let check = try run(gateway, "reconcile")
        #expect(check.status == 0 && check.output.contains("0 of 1 tenants differ"), "\(check.output)")
    }
}
