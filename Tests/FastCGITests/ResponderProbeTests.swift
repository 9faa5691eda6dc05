import FastCGI
import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@Suite struct ResponderProbeTests {
    @Test func `a responder is asked as nginx asks it, and its status and body are told`() throws {
        let responder = try TestResponder { exchange in
            let words = ["REQUEST_METHOD", "REQUEST_URI", "EXTRA"].map { exchange.parameter($0) ?? "none" }
            let long = String(repeating: "x", count: 100_000)
            answer(exchange, "418 Teapot", words.joined(separator: " ") + long)
        }
        let outcome = ResponderProbe.get(
            "/readyz", socketPath: responder.path, parameters: [("EXTRA", "yes")], until: .after(seconds: 20))
        guard case .answered(let status, let body) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(status == 418)
        #expect(body.hasPrefix("GET /readyz yes") && body.utf8.count == 100_000 + 15)
    }

    @Test func `a socket that is not there, or that nobody listens on, is told apart`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/socket"
        let deadline = Deadline.after(seconds: 20)
        #expect(ResponderProbe.get("/", socketPath: path, until: deadline) == .notConnected(ENOENT))
        close(try UnixListener.open(path: path, mode: 0o600))
        #expect(ResponderProbe.get("/", socketPath: path, until: deadline) == .notConnected(ECONNREFUSED))
        let long = "/tmp/" + String(repeating: "x", count: 200)
        #expect(ResponderProbe.get("/", socketPath: long, until: deadline) == .notConnected(ENAMETOOLONG))
    }

    @Test func `one that takes the connection and says nothing is silent, also with a full backlog`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/socket"
        let listener = try UnixListener.open(path: path, mode: 0o600, backlog: 0)
        defer { close(listener) }
        // The first fills the backlog, the second waits before it.
        let first = try #require(TestSocket.connect(path: path))
        defer { close(first) }
        let outcome = ResponderProbe.get("/", socketPath: path, until: .after(milliseconds: 100))
        #expect(outcome == .silent)
    }
}
