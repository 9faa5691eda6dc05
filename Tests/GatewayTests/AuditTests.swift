import Core
import Foundation
import Gateway
import Redis
import TestSupport
import TestTools
import Testing

/// The log lines and metrics of a running gateway.
@Suite struct AuditTests {
    private static let shared = Result { try TestGateway() }

    private func post(_ model: String, stream: Bool, as tenant: String) throws -> TestHTTP.Answer {
        let gateway = try Self.shared.get()
        let id = try gateway.stores.makeTenant(tenant, balance: "1")
        let key = try gateway.stores.makeKey(id)
        return try TestHTTP.post(
            gateway.url + "/v1/chat/completions", key: key,
            #"{"model":"\#(model)","stream":\#(stream),"messages":[{"role":"user","content":"hi"}]}"#)
    }

    /// The audit line of a tenant's one request, waited for: it is written after the answer.
    private func line(of tenant: String) throws -> [String: Any] {
        let gateway = try Self.shared.get()
        for _ in 0..<500 {
            let text = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
            for line in text.split(separator: "\n") where line.contains("\"tenant\":\"\(tenant)\"") {
                return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            }
            usleep(20_000)
        }
        Issue.record("no log line of \(tenant)")
        return [:]
    }

    @Test(arguments: [("plain", false), ("streamed", true)])
    func `the log line of a request tells who, what, how long and for how much`(tenant: String, stream: Bool)
        throws
    {
        let answer = try post("sim-ok", stream: stream, as: tenant)
        #expect(answer.status == 200)
        let line = try line(of: tenant)
        let call = try #require(
            try Self.shared.get().providerCalls().first { $0.trace == line["trace"] as? String })
        #expect(line["message"] as? String == "request")
        #expect(line["level"] as? String == "info")
        #expect(line["status"] as? Int == 200)
        #expect(line["model"] as? String == "sim-ok")
        #expect(line["capability"] as? String == "chat")
        #expect(line["provider"] as? String == "simulator")
        #expect(line["api_key"] is String)
        #expect(line["input_tokens"] as? Int64 == call.prompt_tokens)
        #expect(line["output_tokens"] as? Int64 == call.completion_tokens)
        #expect(line["usage_source"] as? String == "provider")
        #expect(line["is_stream"] as? Bool == stream)
        #expect(line["stream_completed"] as? Bool == stream)
        #expect(line["is_error"] as? Bool == false)
        #expect((0..<60_000).contains(line["latency_ms"] as? Int ?? -1))
        #expect(line["currency"] as? String == "USD")
        let hold = try money(line["hold"])
        let cost = try money(line["total_cost"])
        #expect(cost == call.cost)
        #expect(try money(line["cost_diff"]) == hold - cost)
        #expect(try money(line["balance_after"]) == Money(nanodollars: 1_000_000_000) - cost)
    }

    private func money(_ value: Any?) throws -> Money {
        let text = try #require(value as? String)
        return try #require(Money(decimal: text))
    }

    @Test func `the log line of an answer given again names the request that was charged, and is counted`()
        throws
    {
        let gateway = try Self.shared.get()
        let tenant = try gateway.stores.makeTenant("again", balance: "1")
        let key = try gateway.stores.makeKey(tenant)
        let answers = try (0..<2).map { _ in
            try TestHTTP.send(
                "POST", gateway.url + "/v1/chat/completions", key: key,
                body: #"{"model":"sim-ok","messages":[{"role":"user","content":"hi"}]}"#,
                headers: [("idempotency-key", "k")])
        }
        let trace = try #require(answers[0].headers["x-request-id"])
        var line: Substring?
        _ = try Eventually.holds {
            let text = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
            line = text.split(separator: "\n").first { $0.contains("\"replayed\":\"\(trace)\"") }
            return line != nil
        }
        let again = try #require(line)
        #expect(again.contains("\"status\":200") && again.contains("\"tenant\":\"again\""))
        #expect(!again.contains("\"trace\":\"\(trace)\"") && !again.contains("total_cost"))
        let metrics = try TestHTTP.get(gateway.adminURL + "/metrics").body
        #expect(metrics.contains("\ntollgate_replays_total 1"))
    }

    @Test func `where only errors are logged, a failure of the gateway is, and nothing else`() throws {
        let gateway = try TestGateway(environment: ["TOLLGATE_LOG_LEVEL": "error"])
        let key = try gateway.stores.makeKey(try gateway.stores.makeTenant("acme", balance: "1"))
        func status() throws -> Int {
            try TestHTTP.post(
                gateway.url + "/v1/chat/completions", key: key,
                #"{"model":"sim-ok","messages":[{"role":"user","content":"hi"}]}"#
            ).status
        }
        #expect(try status() == 200)
        _ = try gateway.stores.money.redis.command(["CONFIG", "SET", "maxmemory", "1"])
        #expect(try status() == 503)
        let isTold = try Eventually.holds {
            let log = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
            let lines = log.split(separator: "\n").filter { $0.contains(#""message":"request""#) }
            return lines.count == 1 && lines[0].contains("QUOTA_UNAVAILABLE")
        }
        #expect(isTold)
    }

    @Test func `the log line of a failed request tells why, and that it cost nothing`() throws {
        let answer = try post("sim-500", stream: false, as: "failing")
        #expect(answer.status == 502)
        let line = try line(of: "failing")
        #expect(line["status"] as? Int == 502)
        #expect(line["is_error"] as? Bool == true)
        #expect(line["error_code"] as? String == "UPSTREAM_CALL_FAILED")
        #expect(line["error_source"] as? String == "UPSTREAM")
        #expect((line["error_detail"] as? String)?.contains("simulator") == true)
        #expect(try money(line["total_cost"]) == .zero)
        #expect(try money(line["cost_diff"]) == money(line["hold"]))
        #expect(line["output_tokens"] == nil)
    }

    @Test func `every line that tollgated writes is JSON, and none holds a key`() throws {
        let gateway = try Self.shared.get()
        let tenant = try gateway.stores.makeTenant("secretive", balance: "1")
        let key = try gateway.stores.makeKey(tenant)
        for path in ["/v1/nothing", "/v1/models?key=\(key)", "/v1/models"] {
            _ = try TestHTTP.get(gateway.url + path, key: path.contains("?") ? nil : key)
        }
        _ = try TestHTTP.post(gateway.url + "/v1/chat/completions", key: key, "{\"model\":\"\\u0000\"}")
        let text = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count >= 3)
        for line in lines {
            #expect(throws: Never.self, "\(line)") { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
        }
        #expect(!text.contains(key))
        #expect(!text.contains(key.suffix(36)))
    }

    @Test func `metrics count requests, their kinds and every step, on the admin server only`() throws {
        let gateway = try Self.shared.get()
        #expect(try post("sim-ok", stream: true, as: "counted").status == 200)
        _ = try line(of: "counted")
        let answer = try TestHTTP.get(gateway.adminURL + "/metrics")
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        for series in [
            "tollgate_requests_total{status=\"200\",kind=\"stream\",code=\"\"} ",
            "tollgate_step_seconds_count{step=\"quota_check\"} ",
            "tollgate_step_seconds_count{step=\"audit\"} ",
            "tollgate_charged_nanodollars_total ", "tollgate_workers ", "tollgate_settlements_waiting 0",
        ] {
            #expect(answer.body.contains("\n" + series), "\(series)")
        }
        #expect(try TestHTTP.get(gateway.url + "/metrics").status == 404)
    }
}
