import Core
import Foundation
import Gateway
import Ledger
import Quota
import Redis
import TestSupport
import TestTools
import Testing

/// Limits and budgets as operators set them and as clients are told of them.
@Suite struct LimitCommandTests: CommandTests {
    let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    /// Asks until the answer is what new limits make of it: a gateway hears of them within a second.
    private func eventually(
        _ caller: EndpointsCaller, _ condition: (TestHTTP.Answer) -> Bool
    ) throws -> TestHTTP.Answer {
        var answer = try caller.chat("sim-ok")
        _ = try Eventually.holds(seconds: 10) {
            if condition(answer) { return true }
            answer = try caller.chat("sim-ok")
            return false
        }
        return answer
    }

    private func seconds(_ answer: TestHTTP.Answer) -> Int { Int(answer.headers["retry-after"] ?? "") ?? -1 }

    /// Waits until Redis' minute has some time left.
    private func awaitEarlyMinute() throws {
        let isEarly = try Eventually.holds {
            (try gateway.stores.money.redis.command(["TIME"]).elements?[0].integer ?? 0) % 60 < 45
        }
        #expect(isEarly)
    }

    // MARK: - Limits of a minute

    @Test(arguments: [false, true])
    func `a limit of requests a minute is told with each answer, and by a 429 that asks for patience`(
        isStream: Bool
    ) throws {
        let caller = try EndpointsCaller("rpm", at: gateway)
        _ = try json(["tenant", "set", caller.tenant.description, "--rpm", "2"])
        try awaitEarlyMinute()
        for remaining in ["1", "0"] {
            let answer = try caller.chat("sim-ok", #""stream":\#(isStream)"#)
            #expect(answer.status == 200)
            #expect(answer.headers["x-ratelimit-limit-requests"] == "2")
            #expect(answer.headers["x-ratelimit-remaining-requests"] == remaining)
            let reset = try #require(answer.headers["x-ratelimit-reset-requests"])
            #expect(reset.hasSuffix("s") && (1...60).contains(Int(reset.dropLast()) ?? 60), "\(reset)")
            #expect(answer.headers["x-ratelimit-limit-tokens"] == nil)
        }
        let refused = try caller.chat("sim-ok")
        #expect(refused.status == 429)
        let error = try EndpointsError(refused.body)
        #expect(error.type == "requests" && error.code == "rate_limit_exceeded" && error.param == nil)
        #expect((1...60).contains(seconds(refused)))
        #expect(refused.headers["x-should-retry"] == nil)
        #expect(refused.headers["x-ratelimit-limit-requests"] == "2")
        #expect(refused.headers["x-ratelimit-remaining-requests"] == "0")
        try caller.expectExactCharges(requests: 2)
        _ = try json(["tenant", "set", caller.tenant.description, "--rpm", "none"])
        let free = try eventually(caller) { $0.status == 200 }
        #expect(free.status == 200 && free.headers["x-ratelimit-limit-requests"] == nil)
    }

    @Test func `a limit of tokens a minute counts what is asked for and then what was used`() throws {
        let caller = try EndpointsCaller("tpm", at: gateway)
        _ = try json(["tenant", "set", caller.tenant.description, "--tpm", "1000"])
        try awaitEarlyMinute()
        let asked = 100 + EndpointsCaller.estimatedInput
        let first = try caller.chat("sim-ok", #""max_tokens":100"#)
        #expect(first.status == 200)
        #expect(first.headers["x-ratelimit-limit-tokens"] == "1000")
        #expect(first.headers["x-ratelimit-remaining-tokens"] == String(1_000 - asked))
        #expect(first.headers["x-ratelimit-reset-tokens"] != nil)
        let used = try caller.onlyRow().usage.total
        #expect(used > 0 && used < asked)
        let second = try caller.chat("sim-ok", #""max_tokens":100"#)
        #expect(second.headers["x-ratelimit-remaining-tokens"] == String(1_000 - used - asked))
        let refused = try caller.chat("sim-ok", #""max_tokens":980"#)
        #expect(refused.status == 429)
        let error = try EndpointsError(refused.body)
        #expect(error.type == "tokens" && error.code == "rate_limit_exceeded")
        #expect((1...60).contains(seconds(refused)))
        #expect(refused.headers["x-ratelimit-remaining-tokens"] == String(1_000 - 2 * used))
        // What can never fit is not worth waiting for.
        let never = try caller.chat("sim-ok", #""max_tokens":1000"#)
        #expect(never.status == 429 && never.headers["x-should-retry"] == "false")
        #expect(never.headers["retry-after"] == nil)
        #expect(try EndpointsError(never.body).message.contains("max_tokens"))
        try caller.expectExactCharges(requests: 2)
    }

    @Test func `so many requests run at the same time and the next is told to come again`() throws {
        let caller = try EndpointsCaller("concurrency", at: gateway)
        _ = try json(["tenant", "set", caller.tenant.description, "--concurrency", "2"])
        let running = try Concurrently.begin(2) { _ in try caller.chat("sim-slow", #""stream":true"#).status }
        #expect(
            try Eventually.holds { try gateway.stores.money.quota.image(of: caller.tenant)?.holds.count == 2 }
        )
        let refused = try caller.chat("sim-ok")
        #expect(refused.status == 429 && seconds(refused) == 1)
        #expect(try EndpointsError(refused.body).code == "rate_limit_exceeded")
        #expect(try running.wait() == [200, 200])
        #expect(try caller.chat("sim-ok").status == 200)
        try caller.expectExactCharges(requests: 3)
    }

    // MARK: - Quotas

    @Test func `the quota that leaves the fewest requests is told, with the end of its period`() throws {
        let caller = try EndpointsCaller("quotas", at: gateway)
        let tenant = caller.tenant.description
        _ = try json([
            "tenant", "set", tenant, "--daily-quota", "1", "--monthly-quota", "500", "--rpm", "900",
            "--time-zone", "Asia/Kathmandu",
        ])
        let answer = try caller.chat("sim-ok")
        #expect(answer.headers["x-ratelimit-limit-requests"] == "1")
        #expect(answer.headers["x-ratelimit-remaining-requests"] == "0")
        let refused = try caller.chat("sim-ok")
        #expect(refused.status == 429 && refused.headers["x-should-retry"] == "false")
        #expect(try EndpointsError(refused.body).code == "insufficient_quota")
        // Local midnight is a quarter of an hour off everybody else's.
        let now = Int(Date().timeIntervalSince1970)
        let left = 86_400 - (now + 20_700) % 86_400
        #expect(abs(seconds(refused) - left) <= 60)
        let reset = try #require(refused.headers["x-ratelimit-reset-requests"])
        #expect(reset.hasSuffix("s") && (left < 3_700 || reset.contains("h")), "\(reset)")
        let shown = try json(["tenant", "show", tenant])
        #expect(shown["daily_quota"] as? Int == 1 && shown["rpm_limit"] as? Int == 900)
        #expect(shown["tpm_limit"] is NSNull && shown["time_zone"] as? String == "Asia/Kathmandu")
    }

    // MARK: - Budgets

    @Test func `3.1 a key's budget counts what its requests cost, and nobody else's`() throws {
        let caller = try EndpointsCaller("budget", at: gateway)
        // As few tokens as a hold must pay for, so that it is never lowered.
        let order = ChatOrder(maxTokens: 16)
        // After two requests of 0.00052 there is no room for a third hold.
        let cost = Money(nanodollars: 520_000)
        let budget = order.hold + cost + Money(nanodollars: 1)
        let made = try json([
            "key", "create", "--tenant", caller.tenant.description, "--budget", budget.description,
        ])
        let (id, key) = (try #require(made["id"] as? String), try #require(made["key"] as? String))
        for _ in 0..<2 {
            let answer = try gateway.chat(order, key: key)
            #expect(answer.status == 200 && answer.headers["x-tollgate-cost"] == cost.description)
        }
        let refused = try gateway.chat(order, key: key)
        #expect(refused.status == 402 && refused.headers["x-should-retry"] == "false")
        let error = try EndpointsError(refused.body)
        #expect(error.code == "insufficient_quota" && error.message.contains("budget"))
        #expect(try gateway.chat(order, key: caller.key).status == 200)
        // The same within a day can be waited for.
        _ = try json(["key", "set", id, "--budget-period", "day"])
        #expect(
            try Eventually.holds {
                let answer = try gateway.chat(order, key: key)
                return answer.status == 429 && (1...86_400).contains(seconds(answer))
                    && answer.headers["x-should-retry"] == "false"
            })
        let more = try json(["key", "set", id, "--budget", "5"])
        #expect(more["budget_limit"] as? String == "5.000000000" && more["budget_period"] as? String == "day")
        #expect(try Eventually.holds { try gateway.chat(order, key: key).status == 200 })
        let listed = try json(["key", "list", "--tenant", caller.tenant.description])["data"]
        let keys = try #require(listed as? [[String: Any]])
        let listing = try #require(keys.first { $0["id"] as? String == id })
        #expect(listing["budget_limit"] as? String == "5.000000000")
        #expect(listing["budget_used"] as? String == (cost + cost + cost).description)
        try gateway.stores.expectExactBooks(caller.tenant)
    }

    @Test func `3.1 a budget stands through a restart of the gateway and the loss of Redis`() throws {
        let gateway = try TestGateway()
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let order = ChatOrder(maxTokens: 16)
        let budget = order.hold + Money(nanodollars: 520_001)
        let made = try gateway.command(
            "key", "create", "--tenant", "acme", "--budget", budget.description, "--json")
        let object = try JSONSerialization.jsonObject(with: Data(made.output.utf8)) as? [String: Any]
        let key = try #require(object?["key"] as? String)
        #expect(try gateway.chat(order, key: key).status == 200)
        gateway.kill()
        _ = try gateway.stores.money.redis.command(["FLUSHALL"])
        try gateway.start()
        #expect(try gateway.insistingChat(order, key: key).status == 200)
        #expect(try gateway.chat(order, key: key).status == 402)
        try gateway.stores.expectExactBooks(tenant)
    }

    // MARK: - Setting limits

    @Test func `limits that cannot be are refused, and so is changing nothing`() throws {
        let tenant = name("refuse")
        _ = try json(["tenant", "create", tenant])
        try expect(64, "give at least one limit", "tenant", "set", tenant)
        try expect(64, "--rpm: '-1' is not a limit", "tenant", "set", tenant, "--rpm=-1")
        try expect(64, "--tpm: '1.5' is not a limit", "tenant", "set", tenant, "--tpm", "1.5")
        try expect(64, "--budget-period", "key", "create", "--tenant", tenant, "--budget-period", "week")
        try expect(64, "give --budget", "key", "set", "abc")
        try expect(3, "there is no API key", "key", "set", "abc", "--budget", "1")
        try expect(3, "there is no tenant", "tenant", "set", name("nobody"), "--rpm", "1")
        // Zero is no limit of a minute, and a limit of a day.
        _ = try json(["tenant", "set", tenant, "--rpm", "0", "--daily-quota", "0"])
        let shown = try json(["tenant", "show", tenant])
        #expect(shown["rpm_limit"] is NSNull && shown["daily_quota"] as? Int == 0)
        #expect(shown["limits_version"] as? Int == 2)
    }
}
