import Core
import Foundation
import Ledger
import TestSupport
import Testing

/// What is charged when the simulated provider tells its usage in parts, badly, or not at all.
@Suite struct StreamingUsageTests {
    private let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    /// Sixteen pieces, `tok1 ` to `tok16 `: 87 bytes, which are 22 times four bytes.
    private static let estimatedPlainOutput: Int64 = 22

    @Test(arguments: ["sim-no-usage", "sim-bad-usage"])
    func `a plain answer without usage that can be believed is estimated`(_ model: String) throws {
        let caller = try EndpointsCaller("unbelieved", at: gateway)
        #expect(try caller.chat(model).status == 200)
        try expectEstimate(caller, output: StreamingUsageTests.estimatedPlainOutput, isStream: false)
    }

    @Test(arguments: ["sim-no-usage", "sim-bad-usage"])
    func `a stream without usage that can be believed is estimated by its pieces`(_ model: String) throws {
        let caller = try EndpointsCaller("unbelieved", at: gateway)
        let answer = try caller.chat(model, #""stream":true"#)
        #expect(answer.status == 200)
        #expect(answer.body.hasSuffix("data: [DONE]\n\n"))
        try expectEstimate(caller, output: 16, isStream: true)
    }

    private func expectEstimate(_ caller: EndpointsCaller, output: Int64, isStream: Bool) throws {
        let row = try caller.onlyRow()
        #expect(row.status == "committed")
        #expect(row.usageSource == "estimated")
        #expect(row.streamCompleted == isStream)
        #expect(row.usage == Usage(input: EndpointsCaller.estimatedInput, output: output))
        let charge = EndpointsCaller.estimatedInput * 10_000 + output * 30_000
        try caller.expectBooks(charged: Money(nanodollars: charge))
    }

    @Test(arguments: [true, false])
    func `cached and reasoning tokens are each charged once, at their own prices`(_ isStream: Bool) throws {
        let model = isStream ? "cached-stream" : "cached-plain"
        let rates = Price.Rates(
            input: 10_000_000_000, output: 30_000_000_000, cachedInput: 1_000_000_000,
            reasoning: 60_000_000_000)
        try EndpointsCatalog.add(model, upstreamModel: "sim-cached", rates: rates, at: gateway)
        let caller = try EndpointsCaller("cached", at: gateway)
        #expect(try caller.chat(model, isStream ? #""stream":true"# : "").status == 200)
        let row = try caller.onlyRow()
        // Four words, two of them cached; sixteen pieces, four of them reasoning.
        #expect(row.usage == Usage(input: 2, cachedInput: 2, output: 12, reasoning: 4))
        #expect(row.usageSource == "provider")
        let charge = 2 * 10_000 + 2 * 1_000 + 12 * 30_000 + 4 * 60_000
        try caller.expectBooks(charged: Money(nanodollars: Int64(charge)))
    }

    @Test(arguments: ["", #""stream":true"#])
    func `garbage of a provider is an error that costs nothing`(_ members: String) throws {
        let caller = try EndpointsCaller("garbage", at: gateway)
        let answer = try caller.chat("sim-garbage", members)
        #expect(answer.status == 502)
        #expect(try EndpointsError(answer.body).code == "upstream_error")
        #expect(try caller.onlyRow().status == "voided")
        try caller.expectBooks(charged: .zero)
    }

    @Test func `a plain answer that is cut costs nothing`() throws {
        let caller = try EndpointsCaller("cut-plain", at: gateway)
        let answer = try caller.chat("sim-cut")
        #expect(answer.status == 502)
        #expect(try EndpointsError(answer.body).code == "upstream_error")
        #expect(try caller.onlyRow().status == "voided")
        try caller.expectBooks(charged: .zero)
    }

    @Test func `a stream that is cut costs the three pieces that came`() throws {
        let caller = try EndpointsCaller("cut-stream", at: gateway)
        let answer = try caller.chat("sim-cut", #""stream":true"#)
        #expect(answer.status == 200)
        #expect(!answer.body.contains("[DONE]"))
        let last = answer.body.components(separatedBy: "\n\n").dropLast().last ?? ""
        #expect(try EndpointsError(String(last.dropFirst("data: ".count))).code == "upstream_error")
        let row = try caller.onlyRow()
        #expect(row.usageSource == "observed")
        #expect(row.interruptedBy == "provider")
        let call = try #require(try caller.providerCalls(of: [row]).first)
        #expect(call.completion_tokens == 3)
        #expect(row.usage == Usage(input: EndpointsCaller.estimatedInput, output: 3))
        try caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 3)))
    }

    @Test func `several answers at once are held and charged for all of them`() throws {
        let caller = try EndpointsCaller("several", at: gateway)
        #expect(try caller.chat("sim-ok", #""n":3,"max_tokens":100"#).status == 200)
        let row = try #require(try caller.expectExactCharges(requests: 1).first)
        #expect(row.usage.output == 48)
        let bytes = EndpointsCaller.body("sim-ok", #""n":3,"max_tokens":100"#).utf8.count
        #expect(row.hold.nanodollars == Int64(bytes) * 10_000 + 3 * 100 * 30_000)
    }

    @Test func `a provider's 429 is passed on as such, and costs nothing`() throws {
        let caller = try EndpointsCaller("limited", at: gateway)
        let answer = try caller.chat("sim-429")
        #expect(answer.status == 429)
        #expect(answer.headers["retry-after"] == "1")
        #expect(try EndpointsError(answer.body).code == "rate_limit_exceeded")
        try caller.expectBooks(charged: .zero)
    }

    @Test func `a provider that refuses our credential says nothing of it to the client`() throws {
        let caller = try EndpointsCaller("unauthorized", at: gateway)
        let answer = try caller.chat("sim-unauthorized")
        #expect(answer.status == 502)
        #expect(try EndpointsError(answer.body).code == "upstream_error")
        #expect(!answer.body.contains("key"))
        try caller.expectBooks(charged: .zero)
    }
}
