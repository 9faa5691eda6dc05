import Foundation
import HTTPClient
import PrivateServers
import TestTools
import Testing

/// A TLS server with a certificate of its own making, for 127.0.0.1; OpenSSL's test server, as a child process.
private final class TLSServer {
    let port: Int
    let certificate: String
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    init(address: String = "127.0.0.1") throws {
        let openssl = "/usr/bin/openssl"
        directory = try TemporaryDirectory()
        certificate = directory.path + "/certificate.pem"
        let key = directory.path + "/key.pem"
        _ = try ChildProcess.run([
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-keyout", key, "-out", certificate, "-subj", "/CN=test", "-addext",
            "subjectAltName=IP:\(address)",
        ])
        let process = try ChildProcess(
            [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www"],
            logPath: directory.path + "/log")
        self.process = process
        // It prints "ACCEPT 127.0.0.1:PORT" and a line end.
        var output = ""
        let isListening = try Eventually.holds {
            output = try String(contentsOfFile: process.logPath, encoding: .utf8)
            return output.contains("ACCEPT") && output.hasSuffix("\n")
        }
        try #require(isListening, "\(output)")
        port = try #require(output.split(separator: ":").last.flatMap { Int($0.dropLast()) })
    }
}

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
