import Foundation
import Glibc
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

/// `tollgate up --processes`: a whole installation, as a person starts it.
@Suite struct UpProcessesTests {
    private struct Status: Decodable {
        struct Part: Decodable {
            let name: String
            let pid: Int32?
            let restarts: Int
        }
        let isReady: Bool
        let parts: [Part]
    }

    private let directory: TemporaryDirectory
    private let port: UInt16
    private let adminPort: UInt16
    private let environment = ["TOLLGATE_SHARE": TestGateway.checkout]

    init() throws {
        directory = try TemporaryDirectory()
        (port, adminPort) = (try freePort(), try freePort())
    }

    private func responders() throws -> [Status.Part] {
        let output = try TestCommand.run(
            ["status", "--json", "--dir", directory.path + "/up"], environment: environment
        ).output
        guard let status = try? JSONDecoder().decode(Status.self, from: Data(output.utf8)), status.isReady
        else { return [] }
        return status.parts.filter { $0.name.hasPrefix("tollgated") }
    }

    private func isCounted(_ line: String) throws -> Bool {
        try TestHTTP.get("http://127.0.0.1:\(adminPort)/metrics").body.split(separator: "\n").contains {
            $0 == line
        }
    }

    @Test func `two processes share the socket and the metrics, and one that dies is started again`() throws {
        let up = try ChildProcess(
            TestCommand.launcher + [
                TestGateway.programs + "/tollgate", "up", "--dir", directory.path + "/up", "--processes", "2",
                "--port", "\(port)", "--admin-port", "\(adminPort)",
            ], environment: environment, logPath: directory.path + "/up.log")
        let isReady = try Eventually.holds(seconds: 120) { try !up.isRunning || responders().count == 2 }
        let log = (try? String(contentsOfFile: up.logPath, encoding: .utf8)) ?? ""
        #expect(isReady && up.isRunning, "\(log)")
        let first = try responders()
        #expect(first.map(\.name) == ["tollgated-1", "tollgated-2"])
        #expect(try Eventually.holds { try isCounted("tollgate_processes 2.0") })

        let killed = try #require(first.first?.pid)
        #expect(kill(killed, SIGKILL) == 0)
        let isBack = try Eventually.holds(seconds: 60) {
            let now = try responders()
            return now.first?.restarts == 1 && now.allSatisfy { $0.pid != nil && $0.pid != killed }
        }
        #expect(isBack)
        #expect(try responders().last?.pid == first.last?.pid)
        #expect(try Eventually.holds { try isCounted("tollgate_processes 2.0") })
        #expect(up.terminate(until: .after(seconds: 90)) == .exited(0))
    }
}
