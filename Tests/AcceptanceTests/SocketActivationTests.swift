import Foundation
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

private let socketActivate = "/usr/bin/systemd-socket-activate"

/// tollgated as systemd starts it: on a socket that was open before.
@Suite struct SocketActivationTests {
    @Test func `the request that wakes tollgated is answered by it`() throws {
        let stores = try TestStores()
        let directory = try TemporaryDirectory()
        let path = directory.path + "/fastcgi.sock"
        let settings = stores.environment.map { "--setenv=\($0.key)=\($0.value)" }
        let process = try ChildProcess(
            [socketActivate, "--listen=\(path)"] + settings + [TestGateway.programs + "/tollgated"],
            logPath: directory.path + "/log")
        #expect(Eventually.holds { isListening(path) })
        let answer = TestFastCGI.ask(path, "GET", "/readyz")
        #expect(
            answer.status == 200, "\((try? String(contentsOfFile: process.logPath, encoding: .utf8)) ?? "")")
        #expect(process.terminate(until: .after(seconds: 30)) == .exited(0))
    }

    /// Whether a socket is not only bound to the path, but listens (`__SO_ACCEPTCON` in `/proc/net/unix`).
    private func isListening(_ path: String) -> Bool {
        let sockets = (try? String(contentsOfFile: "/proc/net/unix", encoding: .utf8)) ?? ""
        return sockets.split(separator: "\n").contains {
            $0.hasSuffix(" " + path) && $0.contains(" 00010000 ")
        }
    }
}
