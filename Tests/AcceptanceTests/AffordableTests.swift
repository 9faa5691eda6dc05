import Catalog
import Core
import Gateway
import Ledger
import Postgres
import ProviderSimulator
import Quota
import Tenancy
import TestSupport
import TestTools
import Testing
import Threads

/// An API key's budget that pays for exactly twenty requests, and two hundred at once.
@Suite struct AffordableTests {
    private static let model = "twelve-and-thirty-two"
    /// Twelve words, and thirty-two pieces: at $10 and $30 a million tokens, $0.00108.
    private static let cost = Money(nanodollars: 12 * 10_000 + 32 * 30_000)
    private static let text = "one two three four five six seven eight nine ten eleven twelve"

    /// What an operator of such keys sets: requests go one after another when the budget is short, so they wait for longer; and
    /// thirty-two of them may.
    private static let gateway = Result {
        var provider = SimulatorOptions()
        provider.chunks = 32
        provider.ttfbMilliseconds = 20
        provider.chunkMilliseconds = 1
        let gateway = try TestGateway(
            environment: ["TOLLGATE_SETTLE_WAIT_MILLISECONDS": "60000"], provider: provider)
        let editor = CatalogEditor(
            database: gateway.stores.money.database, pepper: gateway.stores.configuration.pepper)
        // Sixteen bytes a token make the bound of the prompt no larger than its twelve words.
        _ = try editor.addModel(
            model, provider: "simulator", upstreamModel: "sim-ok", priority: 100, weight: 1,
            outputTokensMax: 4_096, bytesPerToken: 16, outputCapField: "max_tokens")
        _ = try editor.publish(TestGateway.rates, perRequest: .zero, model: model, provider: nil)
        return gateway
    }

    @Test(arguments: [false, true], [false, true])
    func `all twenty that a budget pays for are served, and not one more`(isStream: Bool, hasCap: Bool) throws
    {
        let gateway = try Self.gateway.get()
        let tenant = try gateway.stores.makeTenant("budget-\(isStream)-\(hasCap)", balance: "10")
        let budget = Money(nanodollars: 20 * Self.cost.nanodollars)
        let secret = try TenantRegister(database: gateway.stores.money.database).createKey(
            for: tenant, label: "", allowedModels: nil, budget: KeyBudget(limit: budget, period: .total),
            pepper: gateway.stores.configuration.pepper)
        let key = try #require(secret)
        let isServed = try Eventually.holds {
            try TestHTTP.get(gateway.url + "/v1/models/" + Self.model, key: key.text).status == 200
        }
        try #require(isServed)
        let members = (isStream ? [#""stream":true"#] : []) + (hasCap ? [#""max_tokens":64"#] : [])
        let body =
            #"{"model":"\#(Self.model)","messages":[{"role":"user","content":"\#(Self.text)"}]"#
            + members.map { "," + $0 }.joined() + "}"

        let outcomes = TestCrowd.chat(200, at: gateway.url, key: key.text, body)
        let answers = outcomes.map(\.answer)
        #expect(answers.count { $0.status == 200 } == 20)
        #expect(answers.count { $0.status == 402 } == 180)
        let whole = answers.filter { answer in
            isStream
                ? answer.body.hasSuffix("data: [DONE]\n\n") && answer.body.contains("tok32 ")
                : answer.body.contains("tok32 ")
        }
        #expect(whole.count == 20, "each answer has all its words")

        let rows = try gateway.rows(of: tenant)
        #expect(rows.count == 20 && rows.allSatisfy { $0.status == "committed" && $0.charge == Self.cost })
        let traces = Set(rows.map(\.trace.description))
        let calls = try gateway.providerCalls().filter { $0.trace.map { traces.contains($0) } ?? false }
        #expect(calls.count == 20 && calls.allSatisfy { $0.cost == Self.cost })
        let id = try #require(APIKeyID(key.id))
        let used = try #require(try gateway.stores.money.quota.budget(of: id, tenant: tenant))
        #expect(used.used == budget, "the budget is spent to the nano-dollar")
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test(arguments: [false, true])
    func
        `a provider that does not keep to a lowered cap is paid from what is left, and the rest by the house`(
            isStream: Bool
        ) throws
    {
        let scene = try StreamingScene("ignores", at: try Self.gateway.get(), balance: "0.003")
        // Every byte of the body may be a token: the hold is all there is, and pays for fewer tokens than are wanted.
        let client = try scene.ask(isStream: isStream, #""max_tokens":90"#)
        let call = try scene.provider.call()
        let row = try scene.caller.onlyRow()
        #expect(row.hold == Money(nanodollars: 3_000_000))
        let body = EndpointsCaller.body(
            scene.model, (isStream ? #""stream":true,"# : "") + #""max_tokens":90"#)
        let cap = (3_000_000 - body.utf8.count * 10_000) / 30_000
        #expect(cap > 16 && cap < 90)
        #expect(call.request.contains(#""max_tokens":\#(isStream ? 90 : cap)"#))
        if isStream {
            call.begin()
            call.piece("one")
            call.stop()
            call.usage(prompt: 4, completion: 200)
            call.end()
        } else {
            call.answer(
                "200 OK",
                #"{"choices":[{"index":0,"message":{"content":"one"},"finish_reason":"stop"}],"#
                    + #""usage":{"prompt_tokens":4,"completion_tokens":200,"total_tokens":204}}"#)
        }
        #expect(client.readsToEnd())
        let settled = try scene.caller.settledRow()
        #expect(settled.charge == Money(nanodollars: 3_000_000) && settled.usage.output == 200)
        try scene.caller.expectBooks(charged: settled.charge)
    }

    @Test func `who cannot pay for the prompt and sixteen tokens is refused`() throws {
        let gateway = try Self.gateway.get()
        let body = #"{"model":"sim-ok","messages":[{"role":"user","content":"\#(Self.text)"}]}"#
        let least = Int64(body.utf8.count) * 10_000 + 16 * 30_000
        for (short, status) in [(Int64(1), 402), (0, 200)] {
            let balance = Money(nanodollars: least - short)
            let tenant = try gateway.stores.makeTenant("short-\(short)", balance: balance.description)
            let answer = try TestHTTP.post(
                gateway.url + "/v1/chat/completions", key: try gateway.stores.makeKey(tenant), body)
            #expect(answer.status == status)
            if status == 200 { #expect(answer.body.contains(#""completion_tokens":16"#)) }
        }
    }
}
