import Glibc
import HTTPClient
import Testing

/// A TLS server with a certificate of its own making, for 127.0.0.1; OpenSSL's test server, as a child process.
private final class TLSServer {
    let port: Int
    let certificate: String
    private let folder: String
    private let child: pid_t

    static let isPossible = access("/usr/bin/openssl", X_OK) == 0

    init(address: String = "127.0.0.1") throws {
        var template = Array("/tmp/tollgate-tls-XXXXXX".utf8CString)
        folder = String(cString: try #require(mkdtemp(&template)))
        certificate = folder + "/certificate.pem"
        let key = folder + "/key.pem"
        let maker = try Self.spawn(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2",
                "-keyout", key, "-out", certificate, "-subj", "/CN=test", "-addext",
                "subjectAltName=IP:\(address)",
            ], output: nil)
        var status: Int32 = 0
        waitpid(maker, &status, 0)
        var pipeEnds: [Int32] = [-1, -1]
        pipe(&pipeEnds)
        defer { for end in pipeEnds { close(end) } }
        child = try Self.spawn(
            ["s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www"],
            output: pipeEnds[1])
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 1_000)
        // It prints "ACCEPT 127.0.0.1:PORT" and a line end.
        while !(text.contains("ACCEPT") && text.hasSuffix("\n")) {
            let count = Glibc.read(pipeEnds[0], &buffer, buffer.count)
            try #require(count > 0)
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        port = try #require(text.split(separator: ":").last.flatMap { Int($0.dropLast()) })
    }

    deinit {
        kill(child, SIGKILL)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        for name in ["certificate.pem", "key.pem"] { unlink(folder + "/" + name) }
        rmdir(folder)
    }

    private static func spawn(_ arguments: [String], output: Int32?) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, 1)
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var texts = (["openssl"] + arguments).map { strdup($0) } + [nil]
        defer { for text in texts { free(text) } }
        var process = pid_t()
        try #require(posix_spawn(&process, "/usr/bin/openssl", &actions, nil, &texts, nil) == 0)
        return process
    }
}

@Suite(.enabled(if: TLSServer.isPossible))
struct TLSTests {
    private func start(_ server: TLSServer, caFile: String?) throws(HTTPClientError) -> Int {
        var configuration = HTTPTransport.Configuration()
        if let caFile { configuration.caFile = caFile }
        let request = HTTPRequest(method: "GET", url: "https://127.0.0.1:\(server.port)/")
        let transfer = try HTTPTransport(configuration: configuration).start(
            request, timeouts: patient, allowsPrivateAddresses: true)
        return transfer.status
    }

    private func isTLSFailure(_ body: () throws(HTTPClientError) -> Int) -> Bool {
        do throws(HTTPClientError) {
            _ = try body()
            return false
        } catch {
            guard case .tlsFailed = error else { return false }
            return true
        }
    }

    @Test func `a certificate from a trusted authority is accepted`() throws {
        let server = try TLSServer()
        #expect(try start(server, caFile: server.certificate) == 200)
    }

    @Test func `a certificate from nobody we trust is refused`() throws {
        let server = try TLSServer()
        #expect(isTLSFailure { () throws(HTTPClientError) in try start(server, caFile: nil) })
    }

    @Test func `a certificate for another address is refused`() throws {
        let server = try TLSServer(address: "10.9.8.7")
        #expect(isTLSFailure { () throws(HTTPClientError) in try start(server, caFile: server.certificate) })
    }

    @Test func `a server that speaks no TLS is refused`() throws {
        let server = try ScriptedServer { peer in
            peer.send(answer("plain"))
            _ = peer.waitForClose()
        }
        defer { server.stop() }
        let request = HTTPRequest(method: "GET", url: "https://127.0.0.1:\(server.port)/")
        #expect(
            isTLSFailure { () throws(HTTPClientError) in
                try HTTPTransport().start(request, timeouts: patient, allowsPrivateAddresses: true).status
            })
    }
}
