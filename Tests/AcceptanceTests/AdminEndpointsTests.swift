import Core
import Foundation
import Gateway
import Ledger
import Postgres
import Tenancy
import TestSupport
import Testing

/// The admin endpoints, through nginx and as plain CGI.
@Suite struct AdminEndpointsTests {
    private let gateway: TestGateway
    private let token: String

    init() throws {
        gateway = try EndpointsGateway.shared()
        token = try AdminToken.make(gateway)
    }

    private struct Page<Entry: Decodable>: Decodable {
        let object: String
        let data: [Entry]
        let has_more: Bool
    }

    private struct TenantEntry: Decodable {
        let id: String
        let status: String
        let balance: String
        let held: String
        let charged: String
        let credit_limit: String
        let time_zone: String
    }

    private struct TransactionEntry: Decodable {
        struct Usage: Decodable {
            let input_tokens: Int64
            let output_tokens: Int64
        }
        let trace_id: String
        let tenant: String
        let status: String
        let hold: String
        let charge: String
        let cost_diff: String
        let usage: Usage
        let usage_source: String?
    }

    private func get(_ path: String) throws -> TestHTTP.Answer {
        try TestHTTP.get(gateway.adminURL + path, key: token)
    }

    private func page<Entry: Decodable>(_ path: String, of type: Entry.Type) throws -> Page<Entry> {
        let answer = try get(path)
        #expect(answer.status == 200, "\(answer.body)")
        #expect(answer.headers["content-type"] == "application/json")
        return try JSONDecoder().decode(Page<Entry>.self, from: Data(answer.body.utf8))
    }

    // MARK: - Who may

    @Test(arguments: ["/admin/v1/tenants", "/admin/v1/transactions"])
    func `without a good admin token nothing is told`(_ path: String) throws {
        let caller = try EndpointsCaller("admin-key", at: gateway)
        let wrong = String(token.dropLast()) + (token.hasSuffix("0") ? "1" : "0")
        let unknown = SecretText.make(.adminToken).text
        for key in [nil, wrong, unknown, caller.key, "x", "tga_", token + "x"] {
            let answer = try TestHTTP.get(gateway.adminURL + path, key: key)
            #expect(answer.status == 401, "\(key ?? "none")")
            #expect(try EndpointsError(answer.body).code == "invalid_admin_token")
        }
        let basic = try TestHTTP.send(
            "GET", gateway.adminURL + path, key: nil, body: "", headers: [("authorization", "Basic \(token)")]
        )
        #expect(basic.status == 401)
        #expect(try get(path).status == 200)
    }

    @Test func `a revoked admin token is refused at once`() throws {
        let own = try AdminToken.make(gateway)
        #expect(try TestHTTP.get(gateway.adminURL + "/admin/v1/tenants?limit=1", key: own).status == 200)
        let id = own.split(separator: "_")[1]
        _ = try gateway.stores.money.database.query(
            Statement(
                name: "revoke_admin_token", sql: "UPDATE admin_tokens SET revoked_at = now() WHERE id = $1"),
            [.text(String(id))])
        #expect(try TestHTTP.get(gateway.adminURL + "/admin/v1/tenants?limit=1", key: own).status == 401)
    }

    @Test func `the public server has no admin endpoints, whatever token is shown`() throws {
        for path in ["/admin/v1/tenants", "/admin/v1/transactions", "/v1/admin/v1/tenants"] {
            let answer = try TestHTTP.get(gateway.url + path, key: token)
            #expect(answer.status == 404)
            #expect(!answer.body.contains("balance"))
        }
        let listener = try TestHTTP.send(
            "GET", gateway.url + "/v1/../admin/v1/tenants", key: token, body: "",
            headers: [("tollgate-listener", "admin"), ("tollgate_listener", "admin")])
        #expect(listener.status == 404)
    }

    // MARK: - Limits

    private func patch(_ path: String, _ body: String, key: String? = nil) throws -> TestHTTP.Answer {
        try TestHTTP.send("PATCH", gateway.adminURL + path, key: key ?? token, body: body)
    }

    @Test func `limits are set, shown and obeyed, and null takes them away`() throws {
        let caller = try EndpointsCaller("admin-limits", at: gateway)
        let path = "/admin/v1/tenants/\(caller.tenant)"
        let set = try patch(
            path,
            #"{"rpm_limit":9,"tpm_limit":900000,"concurrency_limit":4,"daily_quota":0,"monthly_quota":70,"#
                + #""credit_limit":"1.5","time_zone":"Europe/Berlin"}"#)
        #expect(set.status == 200, "\(set.body)")
        #expect(set.body == #"{"id":"\#(caller.tenant)","limits_version":2}"#)
        #expect(try caller.chat("sim-ok").status == 429)
        let found = try #require(
            try TenantRegister(database: gateway.stores.money.database).tenant(caller.tenant)
        ).tenant
        #expect(
            found.limits
                == TenantLimits(
                    version: 2, creditLimit: Money(nanodollars: 1_500_000_000), dailyQuota: 0,
                    monthlyQuota: 70, requestsPerMinute: 9, tokensPerMinute: 900_000, concurrency: 4))
        #expect(found.timeZone == "Europe/Berlin")
        let listed = try get("/admin/v1/tenants?after=\(caller.tenant.description.dropLast())&limit=1")
        #expect(listed.body.contains(#""rpm_limit":9"#))
        #expect(try patch(path, #"{"daily_quota":null}"#).status == 200)
        #expect(try caller.chat("sim-ok").status == 200)
    }

    @Test func `a key's budget is set and taken away`() throws {
        let caller = try EndpointsCaller("admin-budget", at: gateway)
        let id = String(caller.key.split(separator: "_")[1])
        let set = try patch(
            "/admin/v1/keys/\(id)", #"{"budget_limit":"0.000000001","budget_period":"month"}"#)
        #expect(set.status == 200, "\(set.body)")
        #expect(
            set.body
                == #"{"id":"\#(id)","tenant":"\#(caller.tenant)","budget_limit":"0.000000001","budget_period":"month"}"#
        )
        #expect(try caller.chat("sim-ok").status == 429)
        #expect(try patch("/admin/v1/keys/\(id)", #"{"budget_limit":null}"#).status == 200)
        #expect(try caller.chat("sim-ok").status == 200)
    }

    @Test(arguments: [
        "", "[]", "{}", "{", #"{"rpm":1}"#, #"{"rpm_limit":-1}"#, #"{"rpm_limit":1.5}"#,
        #"{"rpm_limit":"1"}"#,
        #"{"credit_limit":1}"#, #"{"credit_limit":"-1"}"#, #"{"credit_limit":"4000000.000000001"}"#,
        #"{"time_zone":"Mars/Olympus"}"#, #"{"daily_quota":9000000000000001}"#,
        #"{"rpm_limit":1,"rpm_limit":2}"#,
    ])
    func `a change that cannot be is refused whole`(body: String) throws {
        let tenant = try EndpointsCaller("admin-refused", at: gateway).tenant
        let answer = try patch("/admin/v1/tenants/\(tenant)", body)
        #expect(answer.status == 400, "\(answer.body)")
        #expect(try EndpointsError(answer.body).code == "invalid_parameter")
        let found = try TenantRegister(database: gateway.stores.money.database).tenant(tenant)
        #expect(found?.tenant.limits.version == 1)
    }

    @Test func `limits are set with an admin token only, of what there is only`() throws {
        let caller = try EndpointsCaller("admin-who", at: gateway)
        let id = String(caller.key.split(separator: "_")[1])
        for (path, body) in [
            ("/admin/v1/tenants/\(caller.tenant)", #"{"rpm_limit":1}"#),
            ("/admin/v1/keys/\(id)", #"{"budget_limit":"1"}"#),
        ] {
            #expect(try patch(path, body, key: caller.key).status == 401)
            #expect(try TestHTTP.send("POST", gateway.adminURL + path, key: token, body: body).status == 405)
            #expect(try TestHTTP.send("PATCH", gateway.url + path, key: token, body: body).status == 404)
        }
        #expect(try patch("/admin/v1/tenants/nobody-\(id.lowercased())", #"{"rpm_limit":1}"#).status == 404)
        #expect(try patch("/admin/v1/keys/nokey", #"{"budget_limit":"1"}"#).status == 404)
        #expect(try patch("/admin/v1/keys/\(id)", #"{"budget_period":"week"}"#).status == 400)
        #expect(try caller.chat("sim-ok").status == 200)
    }

    // MARK: - What is told

    @Test func `a tenant is listed with its money`() throws {
        let caller = try EndpointsCaller("admin-money", at: gateway)
        #expect(try caller.chat("sim-ok").status == 200)
        // The name just before it, so that it is the first of the page.
        let name = caller.tenant.description
        let listed = try page("/admin/v1/tenants?after=\(name.dropLast())&limit=1", of: TenantEntry.self)
        #expect(listed.object == "list")
        let entry = try #require(listed.data.first)
        #expect(entry.id == name)
        #expect(entry.status == "active")
        #expect(entry.balance == "9.999480000")
        #expect(entry.charged == "0.000520000")
        #expect(entry.held == "0.000000000")
        #expect(entry.credit_limit == "0.000000000")
        #expect(entry.time_zone == "UTC")
    }

    @Test func `tenants are paged by name, each once`() throws {
        // Other tests add tenants of other names meanwhile.
        let prefix = "zz-page-\(UInt32.random(in: .min ... .max))"
        let names = (1...5).map { "\(prefix)-\($0)" }
        for name in names { _ = try gateway.stores.makeTenant(name, balance: "0") }
        let first = try page("/admin/v1/tenants?after=\(prefix)&limit=2", of: TenantEntry.self)
        #expect(first.data.map(\.id) == Array(names[..<2]))
        #expect(first.has_more)
        let second = try page("/admin/v1/tenants?after=\(names[1])&limit=2", of: TenantEntry.self)
        #expect(second.data.map(\.id) == Array(names[2..<4]))
        #expect(second.has_more)
        let last = try page("/admin/v1/tenants?after=\(names[3])&limit=1", of: TenantEntry.self)
        #expect(last.data.map(\.id) == [names[4]])
    }

    @Test func `transactions are paged from the newest, each once`() throws {
        let caller = try EndpointsCaller("admin-page", at: gateway)
        for _ in 0..<4 { #expect(try caller.chat("sim-ok").status == 200) }
        #expect(try caller.chat("sim-500").status == 502)
        let path = "/admin/v1/transactions?tenant=\(caller.tenant)"
        var pages: [[TransactionEntry]] = []
        var before = ""
        var hasMore = true
        while hasMore, pages.count < 10 {
            let next = try page("\(path)&limit=2\(before)", of: TransactionEntry.self)
            pages.append(next.data)
            hasMore = next.has_more
            before = next.data.last.map { "&before=\($0.trace_id)" } ?? ""
        }
        #expect(pages.map(\.count) == [2, 2, 1])
        let traces = pages.flatMap { $0 }.map(\.trace_id)
        #expect(traces == (try caller.rows().map(\.trace)))
        #expect(Set(traces).count == 5)
        let whole = try page("\(path)&limit=5", of: TransactionEntry.self)
        #expect(whole.data.count == 5 && !whole.has_more)
        let committed = try page("\(path)&status=committed", of: TransactionEntry.self)
        #expect(committed.data.count == 4)
        #expect(committed.data.allSatisfy { $0.charge == "0.000520000" && $0.usage.output_tokens == 16 })
        let voided = try page("\(path)&status=voided", of: TransactionEntry.self)
        #expect(voided.data.map(\.charge) == ["0.000000000"])
        #expect(voided.data.first.map { $0.cost_diff == $0.hold } == true)
        #expect(try page("\(path)&status=pending", of: TransactionEntry.self).data.isEmpty)
    }

    @Test(arguments: [
        "tenants?limit=0", "tenants?limit=1001", "tenants?limit=-1", "tenants?limit=1e3", "tenants?limit=",
        "tenants?limit=1&limit=2", "tenants?offset=1", "tenants?after=%zz", "tenants?after=%",
        "tenants?after=%ff",
        "tenants?after=%00", "tenants?after=%+1", "tenants?after=%%%%", "transactions?tenant=UPPER",
        "transactions?tenant='", "transactions?status=done", "transactions?status=", "transactions?before=1",
        "transactions?before=x'--", "transactions?limit=9999999999999999999", "transactions?tenants=a",
    ]) func `a bad parameter is refused`(_ query: String) throws {
        let answer = try get("/admin/v1/" + query)
        #expect(answer.status == 400, "\(answer.body)")
        #expect(try EndpointsError(answer.body).code == "invalid_parameter")
    }

    @Test(arguments: [
        "tenants?after='%20OR%20'1'='1", "tenants?after=%25_&limit=1", "transactions?tenant=no-one",
    ])
    func `an odd but valid parameter is only a value`(_ query: String) throws {
        #expect(try get("/admin/v1/" + query).status == 200)
    }

    // MARK: - Methods

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    func `the endpoints only read`(_ method: String) throws {
        let answer = try TestHTTP.send(
            method, gateway.adminURL + "/admin/v1/tenants", key: token, body: "{}")
        #expect(answer.status == 405)
        #expect(answer.headers["allow"] == "GET")
        #expect(try EndpointsError(answer.body).code == "method_not_allowed")
    }
}

/// Admin tokens for tests.
enum AdminToken {
    /// Makes one in the gateway's database.
    static func make(_ gateway: TestGateway) throws -> String {
        let register = TenantRegister(database: gateway.stores.money.database)
        return try register.createAdminToken(label: "test", pepper: gateway.stores.configuration.pepper).text
    }
}
