import FastCGI
import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@testable import Installation

/// A real nginx with the real configuration, and nobody behind it.
private final class Gate {
    let port: UInt16
    let adminPort: UInt16
    let directory: TemporaryDirectory
    let layout: InstallationLayout
    let configurationPath: String
    private var server: PrivateNginx?

    init(name: String = "gate", filesMax: Int = 1_024) throws {
        directory = try TemporaryDirectory()
        // Inside the temporary directory, so that a test run that crashes leaves nothing elsewhere.
        layout = try InstallationLayout(
            directory: directory.path + "/" + name, runtimeDirectory: directory.path + "/run")
        try layout.makeDirectories()
        port = try freePort()
        adminPort = try freePort()
        let configuration = NginxConfiguration(
            layout: layout, templateDirectory: NginxConfigurationTests.templates,
            socketPath: layout.socketPath(run: getpid()), port: port, adminPort: adminPort, filesMax: filesMax
        )
        configurationPath = try configuration.write(into: layout.nginxDirectory)
        try SystemCalls.makeDirectory(layout.runtimeDirectory + "/nginx", mode: 0o755)
    }

    deinit {
        stop()
    }

    func start() throws {
        server = try PrivateNginx(
            directory: layout.nginxDirectory, configurationPath: configurationPath, port: port)
    }

    func stop() {
        server?.stop()
    }
}

@Suite struct NginxConfigurationTests {
    static let templates = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/nginx"

    @Test func `a filled-in configuration has no placeholder left`() throws {
        let gate = try Gate()
        for name in ["main.conf", "tollgate.conf", "errors.conf", "fastcgi_params"] {
            let text = try #require(SystemCalls.read("\(gate.layout.nginxDirectory)/\(name)"))
            #expect(!text.contains(/@[A-Z_]+@/))
        }
    }

    @Test func `a placeholder without a value is an error`() throws {
        #expect(try NginxConfiguration.filled("a @X@ b@c.d @X@", values: ["X": "1"]) == "a 1 b@c.d 1")
        #expect(throws: InstallationError.self) { try NginxConfiguration.filled("@Y@", values: ["X": "1"]) }
    }

    @Test func `nginx accepts the configuration, in a directory with a space and a quote too`() throws {
        let gate = try Gate(name: "it's here")
        try gate.start()
    }

    @Test func `what nginx answers itself is JSON in the shape of the API`() throws {
        let gate = try Gate()
        try gate.start()
        let cases: [(request: String, status: String, code: String)] = [
            ("GET /nope HTTP/1.1\r\nHost: x", "404", "not_found"),
            ("GET /v1 HTTP/1.1\r\nHost: x", "404", "not_found"),
            ("GET //v1/models HTTP/1.1\r\nHost: x", "404", "not_found"),
            ("GET /v1/%00 HTTP/1.1\r\nHost: x", "400", "bad_request"),
            ("GET /%2e%2e/v1/models HTTP/1.1\r\nHost: x", "400", "bad_request"),
            ("nonsense", "400", "bad_request"),
            ("GET /v1/models HTTP/1.1", "400", "bad_request"),
            ("GET /v1/models HTTP/1.1\r\nHost: a/b?c#", "400", "bad_request"),
            (
                "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b", "400",
                "bad_request"
            ),
            ("GET /v1/models HTTP/3.7\r\nHost: x", "505", "http_version_not_supported"),
            ("TRACE /v1/models HTTP/1.1\r\nHost: x", "405", "method_not_allowed"),
            ("POST /v1/c HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000", "413", "body_too_large"),
            (
                "POST /v1/c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", "400",
                "bad_request"
            ),
            ("GET /v1/\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\nHost: x", "414", "uri_too_long"),
            (
                "GET /v1/m HTTP/1.1\r\nHost: x\r\nX-Long: \(String(repeating: "a", count: 10_000))", "400",
                "header_too_large"
            ),
            ("GET /v1/models HTTP/1.1\r\nHost: x", "503", "gateway_unavailable"),
        ]
        for (request, status, code) in cases {
            let answer = Self.exchange(request + "\r\nConnection: close\r\n\r\n", port: gate.port)
            let line = request.prefix(60)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(line)")
            #expect(answer.contains("Content-Type: application/json"), "\(line)")
            #expect(answer.contains("\"param\":null,\"code\":\"\(code)\"}}\n"), "\(line)")
            #expect(!answer.contains("nginx/"), "\(line)")
        }
    }

    @Test func `what never reached tollgated is 503, what it began and did not end is 502`() throws {
        let gate = try Gate()
        try gate.start()
        // One connection may wait besides the one that is first in the queue.
        let listener = try UnixListener.open(
            path: gate.layout.socketPath(run: getpid()), mode: 0o666, backlog: 0)
        defer { close(listener) }
        let port = gate.port
        let waiting = try WorkerThread(name: "waiting") {
            _ = Self.exchange("GET /v1/models HTTP/1.0\r\nHost: x\r\n\r\n", port: port)
        }
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 10_000) == 1)
        let refused = Self.exchange("GET /v1/models HTTP/1.0\r\nHost: x\r\n\r\n", port: port)
        #expect(refused.hasPrefix("HTTP/1.1 503 "), "\(refused)")
        #expect(refused.contains("Retry-After: 2\r\n") && refused.contains("gateway_unavailable"))
        waiting.join()

        let isQueueEmpty = Signal()
        let dying = try WorkerThread(name: "dying") {
            for _ in 0..<2 {
                var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
                guard poll(&entry, 1, 10_000) == 1 else { return }
                let connection = accept(listener, nil, nil)
                isQueueEmpty.wake()
                entry.fd = connection
                poll(&entry, 1, 10_000)
                close(connection)
            }
        }
        #expect(isQueueEmpty.wait(until: .after(seconds: 10)))
        let broken = Self.exchange("GET /v1/models HTTP/1.0\r\nHost: x\r\n\r\n", port: port)
        #expect(broken.hasPrefix("HTTP/1.1 502 "), "\(broken)")
        #expect(broken.contains("Retry-After: 2\r\n") && broken.contains("gateway_unavailable"))
        dying.join()
    }

    @Test func `an nginx that is out of connections says so as tollgated does`() throws {
        // 128 connections for each of its workers.
        let gate = try Gate(filesMax: 192)
        try gate.start()
        let listener = try UnixListener.open(path: gate.layout.socketPath(run: getpid()), mode: 0o666)
        defer { close(listener) }
        // Bodies that are still coming keep all connections, so that none is left for the way to tollgated.
        let head = "POST /v1/c HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\n\r\nab"
        let clients = (0..<600).compactMap { _ in Self.connect(port: gate.port) }
        defer { for client in clients { close(client) } }
        for client in clients { send(client, head, head.utf8.count, Int32(MSG_NOSIGNAL)) }
        usleep(300_000)
        for client in clients { send(client, "c", 1, Int32(MSG_NOSIGNAL)) }
        let answers = clients.compactMap { client -> String? in
            var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 20) == 1 else { return nil }
            let answer = TestSocket.receiveAll(client)
            return answer.isEmpty ? nil : answer
        }
        #expect(!answers.isEmpty)
        for answer in answers {
            #expect(answer.hasPrefix("HTTP/1.1 503 "), "\(answer)")
            #expect(
                answer.contains("Retry-After: 2\r\n") && answer.contains("\"code\":\"gateway_unavailable\""))
        }
        gate.stop()
        let log = try #require(SystemCalls.read(gate.layout.nginxDirectory + "/nginx.log"))
        #expect(log.contains("worker_connections are not enough"))
    }

    @Test(arguments: [
        "/admin/v1/tenants", "/metrics", "/v1/../admin/v1/tenants", "/v1/%2e%2e/admin/v1/tenants",
    ])
    func `nothing of the admin server is found on the public one`(path: String) throws {
        let gate = try Gate()
        try gate.start()
        let request = "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        #expect(Self.exchange(request, port: gate.port).hasPrefix("HTTP/1.1 404 "))
        // The admin server would pass it on, and has nobody to pass it to.
        guard !path.contains("..") && !path.contains("%") else { return }
        #expect(Self.exchange(request, port: gate.adminPort).hasPrefix("HTTP/1.1 503 "))
    }

    @Test func `requests that nginx refuses are logged without their query string`() throws {
        let gate = try Gate()
        try gate.start()
        let request = "GET /nope?key=tg_secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        _ = Self.exchange(request, port: gate.port)
        gate.stop()
        let log = try #require(SystemCalls.read(gate.layout.nginxDirectory + "/nginx-refused.log"))
        #expect(log.contains("\"status\":404,\"method\":\"GET\",\"path\":\"/nope\""))
        #expect(!log.contains("tg_secret"))
    }

    /// A connection on which nothing is waited for longer than two seconds.
    private static func connect(port: UInt16) -> Int32? { TestSocket.connect(port: port, timeoutSeconds: 2) }

    /// Sends bytes and returns all that comes back.
    private static func exchange(_ request: String, port: UInt16) -> String {
        guard let descriptor = connect(port: port) else { return "" }
        defer { close(descriptor) }
        TestSocket.send(Array(request.utf8), on: descriptor)
        return TestSocket.receiveAll(descriptor)
    }
}
