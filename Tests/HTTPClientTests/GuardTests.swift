import Glibc
import Testing

@testable import HTTPClient

struct GuardTests {
    private func permission(_ text: String) throws -> AddressPermission {
        var storage = sockaddr_storage()
        try withUnsafeMutablePointer(to: &storage) { pointer in
            let bytes = UnsafeMutableRawPointer(pointer)
            if text.contains(":") {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                try #require(inet_pton(AF_INET6, text, &address.sin6_addr) == 1)
                bytes.storeBytes(of: address, as: sockaddr_in6.self)
            } else {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                try #require(inet_pton(AF_INET, text, &address.sin_addr) == 1)
                bytes.storeBytes(of: address, as: sockaddr_in.self)
            }
        }
        return permission(storage)
    }

    private func permission(_ storage: sockaddr_storage) -> AddressPermission {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { AddressGuard.permission($0) }
        }
    }

    @Test(arguments: [
        // This network, private, shared (CGNAT), loopback.
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.9.9.9", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        // Protocol assignments, documentation, relays, benchmarks.
        "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
        "203.0.113.1",
        // Unspecified, loopback, IPv4 in IPv6 in all its forms.
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b::8.8.8.8", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
        // Discard, special purposes, documentation, segment routing, unique local, site-local.
        "100::1", "2001:10::1", "2001:db8::1", "3fff::1", "5f00::1", "fc00::1", "fdff::1", "fec0::1",
    ]) func `an address that is not public needs permission`(text: String) throws {
        #expect(try permission(text) == .needed)
    }

    @Test(arguments: [
        "169.254.169.254", "169.254.0.0", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "fe80::1",
        "febf::1", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1",
        "239.255.255.255", "240.0.0.1", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1",
    ]) func `metadata services, multicast and reserved addresses get no permission`(text: String) throws {
        #expect(try permission(text) == .neverGiven)
    }

    @Test func `what is no IP address gets no permission`() throws {
        for family in [AF_UNIX, AF_UNSPEC, AF_NETLINK] {
            var storage = sockaddr_storage()
            storage.ss_family = sa_family_t(family)
            #expect(permission(storage) == .neverGiven)
        }
    }

    @Test(arguments: [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255",
        "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "::ffff:8.8.8.8", "2606:4700::1111", "2001:4860:4860::8888", "2003::1",
        "2a00:1450::1", "3ffe::1",
    ]) func `a public address needs no permission`(text: String) throws {
        #expect(try permission(text) == .notNeeded)
    }

    @Test(arguments: ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
    func `a connection to this machine needs permission, however it is named`(host: String) throws {
        let server = try ScriptedServer { peer in _ = peer.readRequest() }
        defer { server.stop() }
        #expect {
            let request = HTTPRequest(url: "http://\(host):\(server.port)/")
            _ = try HTTPTransport().start(request, timeouts: patient).status
        } throws: { error in
            guard case .blockedAddress(let address)? = error as? HTTPClientError else { return false }
            return ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"].contains(address)
        }
        #expect(server.connectionCount == 0)
    }

    @Test(arguments: [
        "169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1]", "0xa9fea9fe",
        "2852039166", "224.0.0.1", "255.255.255.255",
    ])
    func `some addresses are not connected to even with permission`(host: String) throws {
        #expect {
            let request = HTTPRequest(url: "http://\(host)/latest/meta-data/")
            _ = try HTTPTransport().start(request, timeouts: patient, allowsPrivateAddresses: true).status
        } throws: { error in
            guard case .forbiddenAddress? = error as? HTTPClientError else { return false }
            return true
        }
    }

    @Test(arguments: [
        ("http://127.0.0.1:1/v1", "127.0.0.1", AddressPermission.needed), ("http://[::1]", "::1", .needed),
        ("https://2130706433/", "127.0.0.1", .needed), ("https://8.8.8.8/v1", "8.8.8.8", .notNeeded),
        ("http://localhost:80/?x", "127.0.0.1", .needed),
        ("http://169.254.169.254", "169.254.169.254", .neverGiven),
    ])
    func `a host's addresses can be looked at without connecting`(
        url: String, address: String, permission: AddressPermission
    ) throws {
        let entries = try HostAddresses.of(url: url)
        #expect(entries.contains(HostAddresses.Entry(address: address, permission: permission)))
        #expect(entries.allSatisfy { $0.permission == permission })
    }

    @Test func `a host without addresses, and what is no URL, have none to look at`() {
        // Longer than a name can be, so that no name server is asked.
        let name = String(repeating: "x", count: 70)
        #expect(throws: HTTPClientError.resolveFailed) { try HostAddresses.of(url: "http://\(name)/") }
        for url in ["ftp://127.0.0.1/", "http://", "http://a:b:c/", "http://u@127.0.0.1/"] {
            #expect(throws: HTTPClientError.self) { try HostAddresses.of(url: url) }
        }
    }

    @Test func `a connection opened with permission does not serve a request without it`() throws {
        let server = try ScriptedServer { peer in
            while peer.readRequest() != nil { peer.send(answer("x")) }
        }
        defer { server.stop() }
        let transport = HTTPTransport()
        _ = try server.exchange(transport)
        #expect(throws: HTTPClientError.blockedAddress("127.0.0.1")) {
            _ = try transport.start(HTTPRequest(url: server.url()), timeouts: patient).status
        }
        #expect(server.requests.count == 1)
    }

    @Test(arguments: [
        "file:///etc/passwd", "ftp://example.com/", "HTTP:/x", "http://", "http:///x",
        "http://user:word@example.com/",
        "http://exa mple.com/", "http://example.com/\r\nx: y", "http://example.com/ü", "http://a\\b/",
        "http://example.com/" + String(repeating: "x", count: 8_192),
    ]) func `a URL that is not plainly HTTP is refused`(url: String) {
        #expect {
            _ = try HTTPTransport().start(HTTPRequest(url: url), timeouts: patient).status
        } throws: { error in
            guard case .invalidRequest? = error as? HTTPClientError else { return false }
            return true
        }
    }

    @Test(arguments: [
        ("x\r\ny", "z"), ("x", "y\r\nz: 1"), ("x", "y\u{0}"), ("", "x"), ("x y", "z"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
    ]) func `a header that would change the request is refused`(name: String, value: String) {
        #expect {
            let request = HTTPRequest(url: "http://127.0.0.1:1/", headers: [(name, value)])
            _ = try HTTPTransport().start(request, timeouts: patient, allowsPrivateAddresses: true).status
        } throws: { error in
            guard case .invalidRequest? = error as? HTTPClientError else { return false }
            return true
        }
    }
}
