import TestSupport
import Testing

/// The rows of the bad-input catalogue about addresses and methods, through nginx.
@Suite struct BadInputPathTests {
    @Test(arguments: [
        "/v1/../admin/v1/tenants", "/v1/..%2fadmin/v1/tenants", "/v1/%2e%2e/admin/v1/tenants",
        "/v1/.%2e/admin/v1/transactions", "/v1/chat/../../admin/v1/tenants", "//admin/v1/tenants",
        "/v1//admin/v1/tenants", "/admin", "/admin/", "/admin/v1/tenants", "/ADMIN/v1/tenants", "/metrics",
        "/v1/../metrics", "//v1/models", "/v1//models", "/v1/./models", "/v1/models/../models", "/V1/models",
        "/v1/Models", "/v1/models;x", "/v1/models%00", "/v1/models%2f", "/v1/%6dodels", "/v1", "/v1/", "/",
        "/v1/chat/completions/", "/tollgate-error/404", "/admin/../v1/models",
        "/healthz/", "/v1/models/..", "/v1/chat", "/\u{e9}", "/v1/models%", "/v1/models/%zz",
    ]) func `row 43: no other spelling of an address leads anywhere`(_ path: String) throws {
        let target = try BadInputTarget()
        let token = try AdminToken.make(target.gateway)
        for secret in [target.caller.key, token] {
            let answer = try target.send(
                [], headers: ["Authorization: Bearer \(secret)", "Content-Length:"], to: "GET \(path)")
            #expect([400, 401, 404].contains(answer.status), "\(answer.text.prefix(300))")
            #expect(!answer.body.contains("balance") && !answer.body.contains("tollgate_"))
            _ = try EndpointsError(answer.body)
        }
        try target.expectUntouched()
    }

    @Test(arguments: ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
    func `row 44: another method on an address for POST is refused`(_ method: String) throws {
        let target = try BadInputTarget()
        let answer = try target.send(
            BadInputTarget.body(""), to: "\(method) /v1/chat/completions")
        try target.expectRefusal(answer, 405, "method_not_allowed")
        #expect(answer.header("allow") == "POST")
    }

    @Test func `row 44: HEAD on an address for POST is refused without a body`() throws {
        let target = try BadInputTarget()
        let answer = try target.send([], headers: ["Content-Length:"], to: "HEAD /v1/chat/completions")
        #expect(answer.status == 405)
        #expect(answer.header("allow") == "POST")
        #expect(answer.body.isEmpty)
    }

    @Test(arguments: ["TRACE", "CONNECT"]) func `row 44: nginx refuses what would show headers or tunnel`(
        _ method: String
    ) throws {
        let target = try BadInputTarget()
        let answer = try target.send([], to: "\(method) /v1/chat/completions")
        #expect([400, 405].contains(answer.status))
        _ = try EndpointsError(answer.body)
        #expect(!answer.text.contains(target.caller.key))
        try target.expectUntouched()
    }

    @Test(arguments: ["POST", "PUT", "DELETE"]) func `row 44: addresses that only read refuse to write`(
        _ method: String
    ) throws {
        let target = try BadInputTarget()
        for path in ["/v1/models", "/v1/models/sim-ok", "/healthz", "/readyz"] {
            let answer = try target.send(BadInputTarget.body(""), to: "\(method) \(path)")
            try target.expectRefusal(answer, 405, "method_not_allowed")
            #expect(answer.header("allow") == "GET")
        }
    }

    @Test func `row 45: an address beyond eight kilobytes is refused by nginx`() throws {
        let target = try BadInputTarget()
        for path in ["/v1/models/", "/v1/chat/completions?x="] {
            let long = path + String(repeating: "a", count: 9_000)
            let answer = try target.send([], headers: ["Content-Length:"], to: "GET \(long)")
            try target.expectRefusal(answer, 414, "uri_too_long")
        }
    }
}
