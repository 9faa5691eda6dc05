import Core
import Testing

@testable import Gateway

@Suite struct RouteTests {
    private static let publicRoutes: [(String, Route)] = [
        ("/v1/chat/completions", .chatCompletions), ("/v1/models", .models),
        ("/v1/models/gpt", .model("gpt")),
        ("/v1/models/org/gpt:free", .model("org/gpt:free")),
    ]
    private static let adminRoutes: [(String, Route)] = [
        ("/metrics", .metrics), ("/admin/v1/tenants", .adminTenants),
        ("/admin/v1/transactions", .adminTransactions),
    ]

    @Test func `what changes limits names a tenant or a key, and takes PATCH only`() throws {
        let (id, keyID) = (try #require(TenantID("a.b-c")), try #require(APIKeyID("Ab12")))
        let tenant = Route(path: "/admin/v1/tenants/a.b-c", listener: .adminServer)
        #expect(tenant == .adminTenant(id))
        let key = Route(path: "/admin/v1/keys/Ab12", listener: .adminServer)
        #expect(key == .adminKey(keyID))
        for route in [tenant, key] { #expect(route?.method == "PATCH" && route?.needsAdminToken == true) }
        for path in [
            "/admin/v1/tenants/A", "/admin/v1/tenants/a/b", "/admin/v1/keys/", "/admin/v1/keys/a%20",
        ] {
            #expect(Route(path: path, listener: .adminServer) == nil, "\(path)")
        }
        #expect(Route(path: "/admin/v1/tenants/a", listener: .publicServer) == nil)
    }

    @Test func `each endpoint is reached on its own server only`() {
        for (path, route) in Self.publicRoutes {
            #expect(Route(path: path, listener: .publicServer) == route)
            #expect(Route(path: path, listener: .adminServer) == nil, "\(path)")
        }
        for (path, route) in Self.adminRoutes {
            #expect(Route(path: path, listener: .adminServer) == route)
            #expect(Route(path: path, listener: .publicServer) == nil, "\(path)")
        }
    }

    @Test func `health is answered on both servers`() {
        for listener in [Route.Listener.publicServer, .adminServer] {
            #expect(Route(path: "/healthz", listener: listener) == .health)
            #expect(Route(path: "/readyz", listener: listener) == .readiness)
        }
    }

    @Test(arguments: [
        "", "/", "*", "/v1", "/v1/", "//v1/chat/completions", "/v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions//", "/V1/chat/completions", "/v1/Chat/completions", "/v1/chat%2Fcompletions",
        "/v1/chat/completion%73", "/v1/./chat/completions", "/v1/../v1/chat/completions",
        "/v1/../admin/v1/tenants",
        "/v1/%2e%2e/admin/v1/tenants", "/v1/..%2fadmin/v1/tenants", "/admin/v1/tenants/",
        "/admin//v1/tenants",
        "//admin/v1/tenants", "/ADMIN/v1/tenants", "/admin/v1/tenants;x=1", "/admin/v1/tenants\u{0}",
        "/admin%2Fv1/tenants",
        "/admin/v1/tenants#", "/metrics/", "/metrics/..", "/./metrics", "/%6Detrics", "/healthz/", "/Healthz",
        "/v1/chat/completions\u{0}", "/v1/chat/completions ", "/v1/chat/completions;jsessionid=1",
        "/v1/modelsx", "/v1/model",
        "http://example.com/v1/models", "/v1\\chat\\completions", "/v1/chat/completions%00",
    ])
    func `another spelling of a path is no path, on either server`(path: String) {
        #expect(Route(path: path, listener: .publicServer) == nil)
        #expect(Route(path: path, listener: .adminServer) == nil)
    }

    @Test func `what follows the models' path names a model and nothing else`() {
        for (rest, name) in [
            ("../../admin/v1/tenants", "../../admin/v1/tenants"), ("..%2f..%2fmetrics", "../../metrics"),
            ("", ""),
            ("/", "/"), ("x/", "x/"), ("X", "X"), ("org%2Fgpt%3Afree", "org/gpt:free"), ("a+b", "a+b"),
            ("%252e", "%2e"),
        ] {
            #expect(Route(path: "/v1/models/" + rest, listener: .publicServer) == .model(name))
            #expect(Route(path: "/v1/models/" + rest, listener: .adminServer) == nil)
        }
    }

    @Test(arguments: ["%", "%4", "%zz", "%+f", "%00", "a%00b", "%C3", "%FF"])
    func `a model's name that cannot be decoded is no path`(rest: String) {
        #expect(Route(path: "/v1/models/" + rest, listener: .publicServer) == nil)
    }

    @Test func `all that shows a tenant's affairs needs an admin token`() {
        for (path, route) in Self.adminRoutes {
            #expect(route.needsAdminToken == path.hasPrefix("/admin/"), "\(path)")
        }
        for (_, route) in Self.publicRoutes { #expect(!route.needsAdminToken) }
    }

    @Test func `only chat completions take a body`() {
        for (_, route) in Self.publicRoutes + Self.adminRoutes {
            #expect(route.method == (route == .chatCompletions ? "POST" : "GET"))
        }
    }
}
