import Core
import Foundation
import TestSupport
import Testing

/// The admin endpoints of the same `tollgated`, started for one request as a plain CGI program.
@Suite struct AdminCGITests {
    private let gateway: TestGateway
    private let token: String

    init() throws {
        gateway = try EndpointsGateway.shared()
        token = try AdminToken.make(gateway)
    }

    /// What a CGI program answers.
    private struct Answer {
        let status: String
        let headers: [String]
        let body: String
    }

    /// Runs `tollgated` as a web server runs CGI programs; the log, which goes to standard error, is thrown away.
    private func cgi(
        _ method: String, _ uri: String, listener: String = "admin", token: String? = nil, body: String = "",
        bodyBytes: String? = nil
    ) throws -> Answer {
        var environment = gateway.stores.environment
        environment["GATEWAY_INTERFACE"] = "CGI/1.1"
        environment["REQUEST_METHOD"] = method
        environment["REQUEST_URI"] = uri
        environment["TOLLGATE_LISTENER"] = listener
        environment["CONTENT_LENGTH"] = bodyBytes ?? (body.isEmpty ? "" : String(body.utf8.count))
        if let token { environment["HTTP_AUTHORIZATION"] = "Bearer \(token)" }
        let script = #"printf '%s' "$1" | "$0" 2> /dev/null"#
        let (status, output) = try TestCommand.run(
            ["/bin/sh", "-c", script, TestGateway.programs + "/tollgated", body], environment, seconds: 60)
        #expect(status == 0)
        let end = try #require(output.firstRange(of: "\r\n\r\n"), "no CGI answer: \(output)")
        let lines = output[..<end.lowerBound].split(separator: "\r\n").map { String($0) }
        let first = try #require(lines.first)
        return Answer(
            status: first, headers: Array(lines.dropFirst()), body: String(output[end.upperBound...]))
    }

    @Test func `a page is the same, byte for byte, as through nginx`() throws {
        let caller = try EndpointsCaller("admin-cgi", at: gateway)
        #expect(try caller.chat("sim-ok").status == 200)
        let name = caller.tenant.description
        for path in [
            "/admin/v1/tenants?after=\(name.dropLast())&limit=1", "/admin/v1/transactions?tenant=\(name)",
        ] {
            let answer = try cgi("GET", path, token: token)
            #expect(answer.status == "Status: 200 OK")
            #expect(answer.headers.contains("Content-Type: application/json"))
            #expect(answer.headers.contains("Content-Length: \(answer.body.utf8.count)"))
            #expect(answer.body.contains(name))
            #expect(answer.body == (try TestHTTP.get(gateway.adminURL + path, key: token).body))
        }
    }

    @Test func `a request without a token is refused as through nginx`() throws {
        let answer = try cgi("GET", "/admin/v1/tenants")
        #expect(answer.status == "Status: 401 Unauthorized")
        #expect(answer.body == (try TestHTTP.get(gateway.adminURL + "/admin/v1/tenants").body))
    }

    @Test(arguments: ["public", "", "ADMIN"])
    func `only the admin server's requests reach the admin endpoints`(_ listener: String) throws {
        let answer = try cgi("GET", "/admin/v1/tenants", listener: listener, token: token)
        #expect(answer.status == "Status: 404 Not Found")
        #expect(try EndpointsError(answer.body).code == "unknown_url")
    }

    @Test func `a body on standard input is read, and too short a one does no harm`() throws {
        let whole = try cgi("POST", "/admin/v1/tenants", token: token, body: "{}")
        #expect(whole.status == "Status: 405 Method Not Allowed")
        #expect(whole.headers.contains("Allow: GET"))
        let short = try cgi("POST", "/admin/v1/tenants", token: token, body: "{}", bodyBytes: "5")
        #expect(short.status == "Status: 405 Method Not Allowed")
        let odd = try cgi("GET", "/admin/v1/tenants?limit=1", token: token, bodyBytes: "-1")
        #expect(odd.status == "Status: 200 OK")
    }

    @Test func `health is told without nginx, too`() throws {
        #expect(try cgi("GET", "/healthz").body == #"{"status":"ok"}"#)
        let ready = try cgi("GET", "/readyz")
        #expect(
            ready.body
                == #"{"status":"ready","checks":{"postgresql":"ok","redis":"ok","quota_mode":"redis"}}"#)
    }
}
