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
        // The path is there before the socket listens; until then it refuses.
        var client: FastCGIClient?
        #expect(
            Eventually.holds {
                client = FastCGIClient(path: path, timeoutSeconds: 60)
                return client != nil
            })
        let answer = TestFastCGI.ask(client, "GET", "/readyz")
        #expect(
            answer.status == 200, "\((try? String(contentsOfFile: process.logPath, encoding: .utf8)) ?? "")")
        #expect(process.terminate(until: .after(seconds: 30)) == .exited(0))
    }
}
