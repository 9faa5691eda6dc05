import Core
import Foundation
import Ledger
import TestSupport
import Testing

@Suite struct FirstRequestTests {
    @Test func `a plain request costs exactly what the provider says it used`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let answer = try TestHTTP.post(
            gateway.url + "/v1/chat/completions", key: key,
            #"{"model":"sim-ok","messages":[{"role":"user","content":"How are you today?"}]}"#)
        #expect(answer.status == 200)
        let call = try #require(try gateway.providerCalls().first)
        #expect(answer.headers["x-tollgate-cost"] == call.cost.description)
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.charged == call.cost)
        #expect(books.ledger.committed == 1)
        try gateway.stores.expectExactBooks(tenant)
    }
}
