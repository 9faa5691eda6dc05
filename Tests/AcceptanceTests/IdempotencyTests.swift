import Core
import Ledger
import PrivateServers
import ProviderSimulator
import TestSupport
import TestTools
import Testing

/// Invariant I13: under one `Idempotency-Key` a request runs once and is charged once, and its answer is given again.
@Suite struct IdempotencyTests {
    private static let gateway = Result { try TestGateway() }

    private let gateway: TestGateway

    init() throws {
        gateway = try IdempotencyTests.gateway.get()
    }

    /// A tenant of a test's own, and an API key.
    private func makeCaller(
        _ name: String, balance: String = "10", dailyQuota: Int64? = nil
    ) throws -> (TenantID, String) {
        let tenant = try gateway.stores.makeTenant(name, balance: balance, dailyQuota: dailyQuota)
        return (tenant, try gateway.stores.makeKey(tenant))
    }

    /// The calls that the provider executed for a tenant.
    private func calls(of tenant: TenantID) throws -> [TestProviderCall] {
        let traces = Set(try gateway.rows(of: tenant).map(\.trace.description))
        return try gateway.providerCalls().filter { $0.trace.map { traces.contains($0) } ?? false }
    }

    @Test(arguments: [false, true])
    func `an answer is given again, byte for byte, and costs nothing`(isStream: Bool) throws {
        // A quota of one request: what is given again counts in none.
        let (tenant, key) = try makeCaller("again-\(isStream)", dailyQuota: 1)
        let order = ChatOrder(isStream: isStream)
        let first = try gateway.chat(order, key: key, idempotencyKey: "k")
        #expect(first.isComplete(order) && first.headers["idempotent-replayed"] == nil)
        for _ in 0..<3 {
            let again = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(again.status == 200 && again.body == first.body)
            #expect(again.headers["content-type"] == first.headers["content-type"])
            #expect(again.headers["x-request-id"] == first.headers["x-request-id"])
            #expect(again.headers["idempotent-replayed"] == "true")
            #expect(again.headers["x-tollgate-cost"] == "0.000000000")
        }
        #expect(try gateway.chat(order, key: key, idempotencyKey: "other").status == 429)
        let rows = try gateway.rows(of: tenant)
        #expect(rows.map(\.status) == ["committed"])
        #expect(try calls(of: tenant).map(\.cost) == rows.map(\.charge))
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `a stream that shows its usage shows it again`() throws {
        let (_, key) = try makeCaller("usage")
        let body =
            #"{"model":"sim-ok","stream":true,"stream_options":{"include_usage":true},"#
            + #""messages":[{"role":"user","content":"Hello"}]}"#
        let answers = try (0..<2).map { _ in
            try TestHTTP.send(
                "POST", gateway.url + "/v1/chat/completions", key: key, body: body,
                headers: [("idempotency-key", "k")])
        }
        #expect(answers[0].body.contains(#""choices":[],"usage""#) && answers[0].body == answers[1].body)
        #expect(answers[1].headers["idempotent-replayed"] == "true")
    }

    @Test(arguments: [false, true])
    func `row 39: of fifty at once under one key one runs, and the others are told so`(isStream: Bool) throws
    {
        let gateway = try TestGateway()
        let order = ChatOrder(model: "sim-hold", isStream: isStream)
        // With money for all they meet at the claim. With money for one they meet before, and whoever is refused for want of it is told
        // of the key all the same.
        let tenant = try gateway.stores.makeTenant("fifty", balance: isStream ? "\(order.hold)" : "10")
        let key = try gateway.stores.makeKey(tenant)
        let requests = try Concurrently.begin(50) { _ in
            try gateway.chat(order, key: key, idempotencyKey: "k")
        }
        try gateway.waitForHeldCalls(1)
        #expect(try gateway.chat(order, key: key, idempotencyKey: "k").status == 409)
        try gateway.releaseHeldCalls()
        let answers = try requests.wait()
        let whole = answers.filter { $0.isComplete(order) && $0.headers["idempotent-replayed"] == nil }
        #expect(whole.count == 1)
        for answer in answers where answer.status != 200 {
            #expect(answer.status == 409 && answer.headers["retry-after"] == "1", "\(answer)")
            #expect(try EndpointsError(answer.body).code == "idempotency_key_in_use")
        }
        for answer in answers where answer.status == 200 { #expect(answer.body == whole.first?.body) }
        #expect(try gateway.chat(order, key: key, idempotencyKey: "k").body == whole.first?.body)
        #expect(try gateway.providerCalls().count == 1)
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.committed == 1 && books.ledger.pending == 0)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `row 38: a key used with another body is refused, a stream being another than no stream`()
        throws
    {
        let (tenant, key) = try makeCaller("other-body")
        #expect(try gateway.chat(ChatOrder(), key: key, idempotencyKey: "k").status == 200)
        for order in [ChatOrder(isStream: true), ChatOrder(text: "Else?"), ChatOrder(maxTokens: 63)] {
            let answer = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(answer.status == 422)
            #expect(try EndpointsError(answer.body).code == "idempotency_key_reused")
        }
        #expect(try gateway.rows(of: tenant).count == 1)
    }

    @Test(arguments: [false, true])
    func `a request that failed may be sent again under its key, even with another body`(isStream: Bool)
        throws
    {
        let (tenant, key) = try makeCaller("failed-\(isStream)")
        for _ in 0..<2 {
            let failed = try gateway.chat(
                ChatOrder(model: "sim-500", isStream: isStream), key: key, idempotencyKey: "k")
            #expect(failed.status == 502)
        }
        let order = ChatOrder(isStream: isStream)
        let answer = try gateway.chat(order, key: key, idempotencyKey: "k")
        #expect(answer.isComplete(order) && answer.headers["idempotent-replayed"] == nil)
        #expect(try gateway.chat(order, key: key, idempotencyKey: "k").body == answer.body)
        #expect(try gateway.rows(of: tenant).map(\.status) == ["voided", "voided", "committed"])
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `the same key of another tenant or another API key stands for another request`() throws {
        let (tenant, key) = try makeCaller("ours")
        let second = try gateway.stores.makeKey(tenant)
        let (_, others) = try makeCaller("theirs")
        let traces = try [key, second, others].map { key in
            let answer = try gateway.chat(ChatOrder(), key: key, idempotencyKey: "k")
            #expect(answer.status == 200 && answer.headers["idempotent-replayed"] == nil)
            return answer.trace
        }
        #expect(Set(traces).count == 3)
    }

    @Test func `a stream that its provider cut is charged once, and never run again under its key`() throws {
        let (tenant, key) = try makeCaller("cut")
        let order = ChatOrder(model: "sim-cut", isStream: true)
        #expect(try gateway.chat(order, key: key, idempotencyKey: "k").status == 200)
        for _ in 0..<2 {
            let again = try gateway.chat(order, key: key, idempotencyKey: "k")
            #expect(again.status == 409 && again.headers["x-should-retry"] == "false")
            #expect(try EndpointsError(again.body).code == "idempotency_key_interrupted")
        }
        #expect(try gateway.rows(of: tenant).map(\.interruptedBy) == ["provider"])
        #expect(try calls(of: tenant).count == 1)
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `a key is free after a day, and prune removes it`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let first = try gateway.chat(ChatOrder(), key: key, idempotencyKey: "k")
        try gateway.stores.database.run(
            "UPDATE idempotency_keys SET expires_at = expires_at - interval '24 hours'")
        let other = ChatOrder(text: "Something else")
        let second = try gateway.chat(other, key: key, idempotencyKey: "k")
        #expect(second.status == 200 && second.headers["idempotent-replayed"] == nil)
        #expect(second.trace != first.trace)
        #expect(try gateway.chat(other, key: key, idempotencyKey: "k").trace == second.trace)
        #expect(try gateway.command("job", "prune").output.contains(" 0 idempotency keys"))
        try gateway.stores.database.run(
            "UPDATE idempotency_keys SET expires_at = expires_at - interval '24 hours'")
        try gateway.stores.database.run(
            "UPDATE idempotent_answers SET created_at = created_at - interval '24 hours'")
        #expect(try gateway.command("job", "prune").output.contains(" 1 idempotency keys"))
        #expect(try gateway.stores.database.run("SELECT count(*) FROM idempotent_answers") == "0\n")
    }

    @Test func `an answer too large to be kept reaches its client, and is not given again`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_KEPT_ANSWER_BYTES_MAX": "1024"])
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let key = try gateway.stores.makeKey(tenant)
        let order = ChatOrder(isStream: true)
        let first = try gateway.chat(order, key: key, idempotencyKey: "k")
        #expect(first.isComplete(order) && first.body.utf8.count > 1_024)
        let again = try gateway.chat(order, key: key, idempotencyKey: "k")
        #expect(again.status == 409 && again.headers["x-should-retry"] == "false")
        #expect(try EndpointsError(again.body).code == "idempotency_answer_too_large")
        // A plain one is shorter.
        let plain = try (0..<2).map { _ in try gateway.chat(ChatOrder(), key: key, idempotencyKey: "plain") }
        #expect(plain[0].status == 200 && plain[0].body == plain[1].body)
        #expect(try gateway.rows(of: tenant).count == 2)
    }
}
