import Core
import Foundation
import Gateway
import Ledger
import Postgres
import TestSupport
import TestTools
import Testing
import Threads

/// The rows of the bad-input catalogue about keys and header fields, through nginx: refused, free, and unknown to providers.
@Suite struct BadInputHeaderTests {
    private static let good = BadInputTarget.body("")

    // MARK: - Keys

    @Test func `row 1: a request without a key is refused`() throws {
        let target = try BadInputTarget()
        let answer = try target.send(BadInputHeaderTests.good, headers: ["Authorization:"])
        try target.expectRefusal(answer, 401, "missing_api_key")
        #expect(answer.header("www-authenticate") == "Bearer")
    }

    @Test(arguments: [
        "Bearer x", "Bearer tg_", "Bearer ' OR '1'='1", "Bearer %00%27", "Bearer tg_%s_%n", "Basic dGc6dGc=",
        "tg_x",
        "Bearer tga_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST000000", "Bearer tg_0123456789AB_" + "é",
        "Bearer " + String(repeating: "a", count: 7_000),
    ]) func `row 2: a key of the wrong form is refused`(_ authorization: String) throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: ["Authorization: \(authorization)"])
        try target.expectRefusal(answer, 401, "invalid_api_key")
    }

    @Test func `row 2: a key with one wrong character, or none of ours, is refused`() throws {
        let target = try BadInputTarget()
        let key = target.caller.key
        let other = try EndpointsCaller("other", at: target.gateway).key
        let middle = key.index(key.startIndex, offsetBy: 25)
        var wrong = key
        wrong.replaceSubrange(middle...middle, with: key[middle] == "A" ? "B" : "A")
        // The public part of one key with the secret of another.
        let mixed = key.prefix(15) + other.dropFirst(15)
        for text in [wrong, String(mixed), key + "0", String(key.dropLast()), key.uppercased()] {
            let answer = try target.send(
                BadInputHeaderTests.good, headers: ["Authorization: Bearer \(text)"])
            try target.expectRefusal(answer, 401, "invalid_api_key")
        }
    }

    @Test func `row 2: a key with a NUL or of ten kilobytes does not get past nginx`() throws {
        let target = try BadInputTarget()
        let nul = try target.send(BadInputHeaderTests.good, headers: ["Authorization: Bearer tg_\0x"])
        try target.expectRefusal(nul, 400, "bad_request")
        let long = try target.send(
            BadInputHeaderTests.good,
            headers: ["Authorization: Bearer " + String(repeating: "a", count: 10_000)])
        try target.expectRefusal(long, 400, "header_too_large")
    }

    @Test func `row 3: an expired key is refused`() throws {
        let target = try BadInputTarget()
        try change(
            Statement(
                name: "expire_key",
                sql: "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE tenant_id = $1"),
            target)
        try target.expectRefusal(target.send(BadInputHeaderTests.good), 401, "invalid_api_key")
    }

    @Test func `rows 3 and 7: a key that was good is refused once it is revoked, or its tenant suspended`()
        throws
    {
        let changes: [(Statement, Int, String)] = [
            (
                Statement(
                    name: "revoke_key", sql: "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1"),
                401, "invalid_api_key"
            ),
            (
                Statement(
                    name: "suspend_tenant", sql: "UPDATE tenants SET status = 'suspended' WHERE id = $1"),
                403, "tenant_suspended"
            ),
        ]
        for (statement, status, code) in changes {
            let target = try BadInputTarget()
            let models = target.gateway.url + "/v1/models"
            #expect(try TestHTTP.get(models, key: target.caller.key).status == 200)
            try change(statement, target)
            let isRefused = try Eventually.holds {
                try TestHTTP.get(models, key: target.caller.key).status == status
            }
            #expect(isRefused)
            let answer = try target.send(BadInputHeaderTests.good)
            let type = status == 403 ? "permission_error" : "invalid_request_error"
            try target.expectRefusal(answer, status, code, type: type)
        }
    }

    private func change(_ statement: Statement, _ target: BadInputTarget) throws {
        _ = try target.gateway.stores.money.database.query(
            statement, [.text(target.caller.tenant.description)])
    }

    @Test func `row 4: two Authorization headers are refused by nginx`() throws {
        let target = try BadInputTarget()
        let line = "Authorization: Bearer \(target.caller.key)"
        try target.expectRefusal(
            target.send(BadInputHeaderTests.good, headers: [line, line]), 400, "bad_request")
    }

    @Test func `row 5: keys that differ are refused, and equal ones are one`() throws {
        let target = try BadInputTarget()
        let key = target.caller.key
        for headers in [
            ["Authorization:", "X-Api-Key: \(key)", "X-Api-Key: x"],
            ["Authorization:", "X-Api-Key: x", "X-Api-Key: \(key)"],
            ["Authorization: Bearer \(key)", "X-Api-Key: x"],
            ["Authorization: Bearer x", "X-Api-Key: \(key)"],
        ] {
            let answer = try target.send(BadInputHeaderTests.good, headers: headers)
            try target.expectRefusal(answer, 400, "ambiguous_credentials")
        }
        for headers in [
            [("x-api-key", key)], [("x-api-key", key), ("authorization", "Bearer \(key)")],
        ] {
            let models = try TestHTTP.send(
                "GET", target.gateway.url + "/v1/models", key: nil, body: "", headers: headers)
            #expect(models.status == 200)
        }
    }

    @Test func `row 6: a key in the query string is none`() throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: ["Authorization:"],
            to: "POST /v1/chat/completions?api_key=\(target.caller.key)&key=\(target.caller.key)")
        try target.expectRefusal(answer, 401, "missing_api_key")
    }

    @Test func `rows 8 and 9: a model that the key may not call is as if it were not there`() throws {
        let target = try BadInputTarget(allowedModels: ["sim-ok"])
        let hidden = try target.send(BadInputHeaderTests.good)
        try target.expectRefusal(hidden, 404, "model_not_found", param: "model")
        let unknown = try target.send(Array(EndpointsCaller.body("untouchee").utf8))
        try target.expectRefusal(unknown, 404, "model_not_found", param: "model")
        // No difference but the name that the client itself sent.
        let message = try EndpointsError(hidden.body).message
        let other = try EndpointsError(unknown.body).message
        #expect(message.replacing("untouched", with: "untouchee") == other)
    }

    @Test func `row 10: an empty balance is refused with 402 and no retry`() throws {
        let target = try BadInputTarget()
        let poor = try EndpointsCaller("poor", at: target.gateway, balance: "0.0001")
        let answer = try TestHTTP.post(
            target.gateway.url + "/v1/chat/completions", key: poor.key,
            EndpointsCaller.body(BadInputTarget.model))
        #expect(answer.status == 402)
        let error = try EndpointsError(answer.body)
        #expect(error.code == "insufficient_quota" && error.type == "insufficient_quota")
        #expect(answer.headers["x-should-retry"] == "false")
        try poor.expectUntouched()
        try target.expectUntouched()
    }

    // MARK: - Content

    @Test(arguments: ["gzip", "deflate", "br", "gzip, identity"])
    func `row 24: an encoded body is refused`(_ encoding: String) throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: ["Content-Encoding: \(encoding)"])
        try target.expectRefusal(answer, 415, "unsupported_content_encoding")
    }

    @Test(arguments: [
        "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json-patch+json",
        "multipart/form-data; boundary=" + String(repeating: "b", count: 6_000), "",
    ]) func `row 25: a body that is not called JSON is refused`(_ type: String) throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: [type.isEmpty ? "Content-Type:" : "Content-Type: \(type)"])
        try target.expectRefusal(answer, 415, "unsupported_media_type")
    }

    @Test func `row 25: a boundary of a megabyte does not get past nginx`() throws {
        let target = try BadInputTarget()
        let type = "multipart/form-data; boundary=" + String(repeating: "b", count: 1 << 20)
        let answer = try target.send(BadInputHeaderTests.good, headers: ["Content-Type: \(type)"])
        try target.expectRefusal(answer, 400, "header_too_large")
    }

    @Test(arguments: ["application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"])
    func `the type of the body may name its characters`(_ type: String) throws {
        let caller = try EndpointsCaller("type", at: try EndpointsGateway.shared())
        let answer = try TestHTTP.send(
            "POST", caller.gateway.url + "/v1/chat/completions", key: caller.key,
            body: EndpointsCaller.body("sim-ok"), headers: [("content-type", type)])
        #expect(answer.status == 200)
    }

    @Test func `row 20: a body beyond the limit is refused before it is sent`() throws {
        let target = try BadInputTarget()
        let client = try StreamingClient(target.gateway.url)
        client.send(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                + "Authorization: Bearer \(target.caller.key)\r\nContent-Type: application/json\r\n"
                + "Content-Length: 20971521\r\n\r\n")
        #expect(client.readsToEnd())
        try target.expectRefusal(client, 413, "body_too_large")
    }

    @Test func `row 22: a chunked body is a body`() throws {
        let gateway = try EndpointsGateway.shared()
        let caller = try EndpointsCaller("chunked", at: gateway)
        let client = try StreamingClient(gateway.url)
        client.send(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                + "Authorization: Bearer \(caller.key)\r\nContent-Type: application/json\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n")
        let body = EndpointsCaller.body("sim-ok")
        for part in [body.prefix(10), body.dropFirst(10)] {
            client.send("\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n")
        }
        client.send("0\r\n\r\n")
        #expect(client.readsToEnd())
        #expect(client.status == 200)
        try caller.expectExactCharges(requests: 1)
    }

    // MARK: - Idempotency keys

    @Test(arguments: [
        ["Idempotency-Key: " + String(repeating: "k", count: 256)], ["Idempotency-Key: clé"],
        ["Idempotency-Key: a\tb"], ["Idempotency-Key: a", "Idempotency-Key: a"], ["Idempotency-Key: "],
    ])
    func `row 37: an idempotency key that is empty, too long, not ASCII or sent twice is refused`(
        _ headers: [String]
    ) throws {
        let target = try BadInputTarget()
        let answer = try target.send(BadInputHeaderTests.good, headers: headers)
        try target.expectRefusal(answer, 400, "invalid_idempotency_key")
    }

    // MARK: - Header fields that would steer us

    @Test(arguments: [
        "X-Request-Id: " + String(repeating: "i", count: 7_000),
        "X-Request-Id: 00000000-0000-7000-8000-000000000000",
        "X-Request-Id: a\u{1B}[31m\"b", "Proxy: http://127.0.0.1:1", "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.1", "X-Accel-Redirect: /admin/v1/tenants", "X-Accel-Buffering: yes",
        "X-Tollgate-Attempt: 9", "Tollgate-Listener: admin", "Content_Length: 5", "X_Request_Id: x",
    ]) func `rows 39 and 41: a header that would steer us is ignored`(_ header: String) throws {
        let target = try BadInputTarget("steer")
        let body = Array(EndpointsCaller.body("sim-ok").utf8)
        let answer = try target.send(body, headers: [header])
        #expect(answer.status == 200)
        let row = try #require(try target.caller.expectExactCharges(requests: 1).first)
        #expect(answer.header("x-request-id") == row.trace)
        #expect(row.trace != "00000000-0000-7000-8000-000000000000")
    }

    @Test func `row 39: a request id with a line break adds no header and no line to the log`() throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: ["X-Request-Id: a\rInjected: yes"])
        try target.expectRefusal(answer, 400, "bad_request")
        #expect(answer.header("injected") == nil)
        let long = try target.send(
            BadInputHeaderTests.good, headers: ["X-Request-Id: " + String(repeating: "i", count: 10_000)])
        try target.expectRefusal(long, 400, "header_too_large")
        let log = try String(contentsOfFile: target.gateway.tollgatedLogPath, encoding: .utf8)
        for line in log.split(separator: "\n") {
            #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
        }
        #expect(!log.contains("Injected"))
    }

    @Test func `row 41: a key in a header with an underscore is none`() throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputHeaderTests.good, headers: ["Authorization:", "X_Api_Key: \(target.caller.key)"])
        try target.expectRefusal(answer, 401, "missing_api_key")
    }
}
