import Core
import Dialects
import Testing

@testable import Gateway

@Suite struct HoldBoundTests {
    private func request(_ fields: String = "", content: String = "\"hi\"") throws -> ChatRequest {
        try ChatRequest(
            Array(#"{"model":"m","messages":[{"role":"user","content":\#(content)}]\#(fields)}"#.utf8))
    }

    private func candidate(
        _ id: Int64, input: Int64 = 1_000_000, output: Int64 = 1_000_000, tokensMax: Int64 = 1_000,
        bytesPerToken: Int64 = 1, perRequest: Money = .zero, isPriced: Bool = true
    ) -> ProviderModel {
        ProviderModel(
            id: id, model: "m",
            provider: Provider(
                name: "p", baseURL: "https://p.example", credential: "s", allowsPrivateAddresses: false),
            upstreamModel: "m", priority: 1, weight: 1, outputTokensMax: tokensMax,
            bytesPerToken: bytesPerToken,
            outputCapField: "max_tokens",
            price: isPriced
                ? Price(version: id, rates: Price.Rates(input: input, output: output), perRequest: perRequest)
                : nil)
    }

    private func bound(
        _ request: ChatRequest, _ candidates: [ProviderModel], tokensDefault: Int64 = 100,
        tokensMax: Int64 = 10_000, streamInitial: Int64 = 256, least: Int64 = 16
    ) throws(GatewayError) -> HoldBound {
        try HoldBound(
            request, candidates: candidates,
            policy: HoldPolicy(
                outputTokensDefault: tokensDefault, outputTokensMax: tokensMax,
                streamInitialTokens: streamInitial, leastTokens: least))
    }

    @Test(arguments: [
        // The client's own, the default, the model's maximum, the policy's maximum.
        (",\"max_tokens\":7", Int64(1_000), Int64(10_000), Int64(7)), ("", 1_000, 10_000, 100),
        (",\"max_tokens\":5000", 1_000, 10_000, 1_000), (",\"max_tokens\":5000", 9_000, 600, 600),
        ("", 50, 10_000, 50),
        ("", 1_000, 20, 20), (",\"max_completion_tokens\":9", 1_000, 10_000, 9),
    ])
    func `the output cap is the least of the client's, the model's and the policy's`(
        fields: String, modelMax: Int64, policyMax: Int64, cap: Int64
    ) throws {
        let bound = try bound(try request(fields), [candidate(1, tokensMax: modelMax)], tokensMax: policyMax)
        #expect(bound.outputCap == cap)
    }

    @Test func `the cap suits every candidate, and the hold pays for the dearest`() throws {
        let request = try request()
        let candidates = [
            candidate(1, input: 0, output: 5_000_000, tokensMax: 900),
            candidate(2, input: 0, output: 1, tokensMax: 30),
        ]
        let bound = try bound(request, candidates)
        #expect(bound.outputCap == 30)
        #expect(bound.amount == Money(nanodollars: 150))
        #expect(try self.bound(request, candidates.reversed()).amount == bound.amount)
    }

    @Test func `every byte of the body may be a token, and every answer may use the whole cap`() throws {
        let request = try request(",\"max_tokens\":10,\"n\":3")
        let bytes = Int64(request.body.count)
        #expect(try bound(request, [candidate(1)]).amount == Money(nanodollars: bytes + 30))
        let flat = Money(nanodollars: 1_000)
        #expect(
            try bound(request, [candidate(1, perRequest: flat)]).amount == Money(nanodollars: bytes + 1_030))
    }

    @Test(arguments: [(Int64(100), Int64(40)), (30, 30)])
    func `a stream holds its first tokens, and is sent the whole cap`(cap: Int64, held: Int64) throws {
        let request = try request(",\"max_tokens\":\(cap),\"n\":3,\"stream\":true")
        let bound = try bound(request, [candidate(1)], streamInitial: 40)
        #expect(bound.outputCap == cap)
        #expect(bound.amount == Money(nanodollars: Int64(request.body.count) + 3 * held))
    }

    @Test func `a stream that could cost more than any hold is refused, however little it holds at first`()
        throws
    {
        let dearest = candidate(1, output: Price.rateLimit, tokensMax: 10_000_000)
        #expect(throws: GatewayError.self) {
            try bound(try body(",\"max_tokens\":10000000,\"stream\":true"), [dearest], tokensMax: 10_000_000)
        }
    }

    @Test func `a hold can be lowered to what pays for the prompt and some tokens of each answer`() throws {
        let request = try request(",\"max_tokens\":100,\"n\":3")
        let candidates = [candidate(1), candidate(2, input: 3_000_000, output: 500_000)]
        let bytes = Int64(request.body.count)
        let bound = try bound(request, candidates, least: 20)
        #expect(bound.least == Money(nanodollars: 3 * bytes + 30))
        for (more, cap) in [(Int64(0), Int64(20)), (1, 20), (2, 21), (60, 60)] {
            let held = Money(nanodollars: 3 * bytes + 30 + more)
            #expect(bound.outputCap(within: held, request, candidates: candidates) == cap)
        }
        #expect(bound.outputCap(within: bound.amount, request, candidates: candidates) == 100)
    }

    @Test func `a hold that is small already, or may not be lowered, is taken whole`() throws {
        let small = try bound(try request(",\"max_tokens\":16"), [candidate(1)], least: 16)
        #expect(small.least == small.amount)
        let whole = try bound(try request(",\"max_tokens\":500"), [candidate(1)], least: 0)
        #expect(whole.least == whole.amount)
    }

    @Test func `a stream that holds less may still use its whole cap`() throws {
        let request = try request(",\"max_tokens\":100,\"stream\":true")
        let bound = try bound(request, [candidate(1)])
        #expect(bound.outputCap(within: bound.least, request, candidates: [candidate(1)]) == 100)
    }

    @Test(arguments: [Int64(1), 2, 3, 4, 16])
    func `a part of a token counts as a whole one`(bytesPerToken: Int64) throws {
        let request = try request(",\"max_tokens\":1")
        let bytes = Int64(request.body.count)
        let tokens = bytes / bytesPerToken + (bytes % bytesPerToken == 0 ? 0 : 1)
        let bound = try bound(request, [candidate(1, bytesPerToken: bytesPerToken)])
        #expect(bound.amount == Money(nanodollars: tokens + 1))
    }

    @Test(arguments: [
        ("image_url", #"{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}"#),
        ("input_audio", #"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#),
        ("file", #"{"type":"file","file":{"file_id":"f"}}"#),
    ])
    func `a part without a bound is refused, and the client is told which`(kind: String, part: String) throws
    {
        let request = try request(content: "[{\"type\":\"text\",\"text\":\"hi\"},\(part)]")
        do throws(GatewayError) {
            _ = try bound(request, [candidate(1)])
            Issue.record("\(kind) was accepted")
        } catch {
            #expect(error.status == 400)
            #expect(error.code == "PART_NOT_PRICED")
            #expect(error.client.param == "messages")
        }
    }

    @Test func `a request that could cost more than any hold is refused`() throws {
        let dearest = candidate(1, output: Price.rateLimit, tokensMax: 10_000_000)
        do throws(GatewayError) {
            _ = try bound(try body(",\"max_tokens\":10000000"), [dearest], tokensMax: 10_000_000)
            Issue.record("it was accepted")
        } catch {
            #expect(error.code == "COST_BEYOND_LIMIT")
            #expect(error.status == 400)
        }
    }

    private func body(_ fields: String) throws(GatewayError) -> ChatRequest {
        do { return try request(fields) } catch { throw .probe("\(error)") }
    }

    @Test func `a candidate without a price is never held for nothing`() throws {
        do throws(GatewayError) {
            _ = try bound(try body(""), [candidate(1), candidate(2, isPriced: false)])
            Issue.record("it was accepted")
        } catch {
            #expect(error.code == "COST_BEYOND_LIMIT")
        }
    }
}
