import Core
import Foundation
import Ledger
import TestSupport
import Testing

/// The official `openai` Python package against the whole gateway, each request with its exact charge.
@Suite struct SDKTests {
    private let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    /// Four words and sixteen pieces, at $10 and $30 a million.
    private static let charge = Money(nanodollars: 4 * 10_000 + 16 * 30_000)
    private static let content = (1...16).map { "tok\($0) " }.joined()
    private static let tokens = SDKOutcome.Tokens(prompt: 4, completion: 16, total: 20)

    @Test func `a plain completion arrives whole and costs its tokens`() throws {
        let caller = try EndpointsCaller("sdk-plain", at: gateway)
        let outcome = try caller.sdk("plain", "sim-ok")
        #expect(outcome.content == SDKTests.content)
        #expect(outcome.finish_reason == "stop")
        #expect(outcome.usage == SDKTests.tokens)
        #expect(outcome.requests == 1)
        let rows = try caller.expectExactCharges(requests: 1)
        #expect(rows.first?.charge == SDKTests.charge)
        #expect(rows.first?.isStream == false)
    }

    @Test func `the headers name the trace, the cost and the balance`() throws {
        let caller = try EndpointsCaller("sdk-headers", at: gateway)
        let headers = try #require(try caller.sdk("headers", "sim-ok").headers)
        let row = try #require(try caller.expectExactCharges(requests: 1).first)
        #expect(headers["x-request-id"] == row.trace)
        #expect(headers["x-tollgate-cost"] == "0.000520000")
        #expect(headers["x-tollgate-balance"] == "9.999480000")
        let milliseconds = headers["openai-processing-ms"].flatMap { $0 }.flatMap { Int($0) }
        #expect(milliseconds.map { $0 >= 0 } == true)
    }

    @Test func `a stream arrives whole, without usage, and costs its tokens`() throws {
        let caller = try EndpointsCaller("sdk-stream", at: gateway)
        let outcome = try caller.sdk("streamed", "sim-ok")
        #expect(outcome.content == SDKTests.content)
        #expect(outcome.finish_reason == "stop")
        #expect(outcome.usage == nil)
        #expect(outcome.usage_only_chunks == 0)
        let rows = try caller.expectExactCharges(requests: 1)
        #expect(rows.first?.charge == SDKTests.charge)
        #expect(rows.first?.isStream == true)
        #expect(rows.first?.streamCompleted == true)
    }

    @Test func `a stream with include_usage has one chunk with the usage`() throws {
        let caller = try EndpointsCaller("sdk-usage", at: gateway)
        let outcome = try caller.sdk("streamed_with_usage", "sim-ok")
        #expect(outcome.content == SDKTests.content)
        #expect(outcome.usage == SDKTests.tokens)
        #expect(outcome.usage_only_chunks == 1)
        #expect(try caller.expectExactCharges(requests: 1).first?.charge == SDKTests.charge)
    }

    @Test func `a wrong key is an AuthenticationError`() throws {
        let caller = try EndpointsCaller("sdk-key", at: gateway)
        // The right form and another secret: the checksum is wrong.
        let wrong = String(caller.key.dropLast()) + (caller.key.hasSuffix("0") ? "1" : "0")
        let outcome = try caller.sdk("plain", "sim-ok", key: wrong)
        #expect(outcome.error == "AuthenticationError")
        #expect(outcome.status == 401)
        #expect(outcome.code == "invalid_api_key")
        #expect(outcome.type == "invalid_request_error")
        #expect(outcome.requests == 1)
        try caller.expectUntouched()
    }

    @Test func `an unknown model is a NotFoundError`() throws {
        let caller = try EndpointsCaller("sdk-model", at: gateway)
        let outcome = try caller.sdk("streamed", "no-such-model")
        #expect(outcome.error == "NotFoundError")
        #expect(outcome.status == 404)
        #expect(outcome.code == "model_not_found")
        #expect(outcome.param == "model")
        #expect(outcome.requests == 1)
        try caller.expectUntouched()
    }

    @Test func `an empty balance is refused with 402, once, and no provider hears of it`() throws {
        let caller = try EndpointsCaller("sdk-empty", at: gateway, balance: "0")
        let outcome = try caller.sdk("plain", "sim-ok")
        #expect(outcome.error == "APIStatusError")
        #expect(outcome.status == 402)
        #expect(outcome.code == "insufficient_quota")
        #expect(outcome.type == "insufficient_quota")
        #expect(outcome.requests == 1)
        let trace = try #require(outcome.trace)
        #expect(try !gateway.providerCalls().contains { $0.trace == trace })
        try caller.expectUntouched()
    }

    @Test func `a failing provider is an InternalServerError, each attempt of the SDK voided`() throws {
        let caller = try EndpointsCaller("sdk-500", at: gateway)
        let outcome = try caller.sdk("plain", "sim-500")
        #expect(outcome.error == "InternalServerError")
        #expect(outcome.status == 502)
        #expect(outcome.code == "upstream_error")
        #expect(outcome.requests == 3)
        let rows = try caller.rows()
        #expect(rows.map(\.status) == ["voided", "voided", "voided"])
        #expect(
            rows.allSatisfy { $0.charge == .zero && $0.errorCode == "UPSTREAM_CALL_FAILED" && $0.isError })
        let calls = try caller.providerCalls(of: rows)
        #expect(calls.map(\.outcome) == ["error", "error", "error"])
        #expect(Set(calls.map(\.trace)).count == 3)
        try caller.expectBooks(charged: .zero)
    }

    @Test func `a provider that is cut mid-stream raises in the SDK, and what came is charged`() throws {
        let caller = try EndpointsCaller("sdk-cut", at: gateway)
        let outcome = try caller.sdk("streamed", "sim-cut")
        #expect(outcome.error == "APIError")
        #expect(outcome.code == "upstream_error")
        #expect(outcome.type == "server_error")
        #expect(outcome.requests == 1)
        let row = try caller.onlyRow()
        #expect(row.usage.output == 3)
        #expect(row.interruptedBy == "provider")
        try caller.expectBooks(charged: Money(nanodollars: StreamingScene.charge(output: 3)))
    }

    @Test func `a client that leaves mid-stream stops the provider and pays for what it got`() throws {
        let caller = try EndpointsCaller("sdk-leave", at: gateway)
        let outcome = try caller.sdk("leave", "sim-slow")
        #expect(outcome.pieces == 3)
        let row = try caller.settledRow()
        #expect(row.status == "committed")
        #expect(row.usageSource == "observed")
        #expect(row.interruptedBy == "client")
        #expect(!row.streamCompleted && !row.isError)
        let call = try #require(try caller.providerCalls(of: [row]).first)
        #expect(call.outcome == "cancelled")
        // What was sent to the client: at least what it read, at most what the provider sent.
        #expect((3...call.completion_tokens).contains(row.usage.output))
        #expect(row.usage.input == EndpointsCaller.estimatedInput)
        #expect(
            row.charge.nanodollars == row.usage.input * 10_000 + row.usage.output * 30_000)
        // A piece each 50 ms: within a second of the leaving, twenty more.
        #expect(call.completion_tokens <= 3 + 20)
        try caller.expectBooks(charged: row.charge)
    }

    @Test func `fifty requests of all kinds at once are each charged exactly`() throws {
        let caller = try EndpointsCaller("sdk-mix", at: gateway)
        let outcome = try caller.sdk("mix", "sim-ok")
        #expect(outcome.outcomes == 50)
        #expect(outcome.contents == [SDKTests.content])
        // Every third is a stream that hides it.
        #expect(outcome.with_usage == 33)
        #expect(outcome.requests == 50)
        let rows = try caller.expectExactCharges(requests: 50)
        #expect(rows.allSatisfy { $0.charge == SDKTests.charge })
        #expect(rows.count { $0.isStream } == 33)
    }

    @Test func `requests sent twice under an Idempotency-Key run once, and the SDK reads both answers alike`()
        throws
    {
        let caller = try EndpointsCaller("sdk-twice", at: gateway)
        let outcome = try caller.sdk("idempotent", "sim-ok")
        #expect(outcome.contents == [SDKTests.content])
        #expect(outcome.replayed == [nil, "true"])
        #expect(outcome.code == "idempotency_key_reused")
        #expect(outcome.requests == 5)
        let rows = try caller.expectExactCharges(requests: 2)
        let plain = try #require(rows.first { !$0.isStream })
        #expect(outcome.ids == [plain.trace, plain.trace])
    }

    @Test func `models are listed and found, also by a name with a slash`() throws {
        let name = "vendor/model:7b+free"
        try EndpointsCatalog.add(name, upstreamModel: "sim-ok", at: gateway)
        let caller = try EndpointsCaller("sdk-models", at: gateway, allowedModels: [name, "sim-ok"])
        let outcome = try caller.sdk("models", name)
        #expect(outcome.models == ["sim-ok", name])
        #expect(outcome.id == name)
    }
}
